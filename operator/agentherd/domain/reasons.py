"""Every reason the operator gives, once.

The same words stand in conditions, transitions, Events, metrics, logs and docs, so that what
`kubectl describe` shows can be searched for everywhere else.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition has its value, or why a phase changed."""

    # The Agent is as its spec wants it.
    ALL_AVAILABLE = "AllAvailable"
    SCALED_TO_ZERO = "ScaledToZero"
    SUSPENDED = "Suspended"
    MAINTENANCE = "Maintenance"
    OFFLINE = "Offline"

    # On the way there.
    STARTING = "Starting"
    ROLLING_OUT = "RollingOut"
    SCALING = "Scaling"
    DRAINING = "Draining"
    WAITING_FOR_DEPENDENCIES = "WaitingForDependencies"
    REPLACING_PODS = "ReplacingPods"
    REVISION_PROMOTED = "RevisionPromoted"
    UNMANAGED = "Unmanaged"

    # How an upgrade goes.
    VALID = "Valid"
    QUEUED = "Queued"
    TARGET_NOT_FOUND = "TargetNotFound"
    REVISION_NOT_FOUND = "RevisionNotFound"
    DOWNGRADE = "Downgrade"
    NEVER_AVAILABLE = "NeverAvailable"
    UPGRADE_STARTED = "UpgradeStarted"
    WAITING_FOR_PODS = "WaitingForPods"
    SETTLING = "Settling"
    STEP_REACHED = "StepReached"
    WAITING_FOR_PROMOTION = "WaitingForPromotion"
    WAITING_FOR_TRAFFIC = "WaitingForTraffic"
    PAUSED = "Paused"
    AGENT_STOPPED = "AgentStopped"
    PROMOTING = "Promoting"
    UPGRADE_SUCCEEDED = "UpgradeSucceeded"
    ROLLBACK_REQUESTED = "RollbackRequested"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    UPGRADE_DELETED = "UpgradeDeleted"

    # What is wrong or right with a version of a model.
    COMPATIBLE = "Compatible"
    INCOMPATIBLE = "Incompatible"
    WARM = "Warm"
    WARMING_UP = "WarmingUp"
    WARM_UP_FAILED = "WarmUpFailed"
    OBJECTIVES_MET = "ObjectivesMet"
    OBJECTIVE_MISSED = "ObjectiveMissed"

    # Whether somebody has approved it.
    APPROVED = "Approved"
    APPROVAL_REQUIRED = "ApprovalRequired"
    APPROVAL_OUTDATED = "ApprovalOutdated"
    APPROVAL_UNCHECKED = "ApprovalUnchecked"
    POLICY_MISSING = "PolicyMissing"

    # What has caused a rollback.
    HEALTH_PROBE = "HealthProbe"
    CRASH = "Crash"
    PROGRESS_DEADLINE = "ProgressDeadline"
    REFUSED = "Refused"
    REQUESTED = "Requested"
    ERROR_RATE = "ErrorRate"
    PERFORMANCE_IMPACT = "PerformanceImpact"
    METRIC_FAILED = "MetricFailed"
    TEST_FAILED = "TestFailed"
    FEEDBACK = "Feedback"

    # What the analysis says otherwise.
    NO_WORSE = "NoWorse"
    INCONCLUSIVE = "Inconclusive"

    # Traffic.
    WEIGHT_APPLIED = "WeightApplied"
    SHARED_BY_REPLICAS = "SharedByReplicas"
    ROUTE_NOT_FOUND = "RouteNotFound"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    ROUTE_CONFLICT = "RouteConflict"
    PORT_NOT_FOUND = "PortNotFound"
    NOT_SUPPORTED = "NotSupported"

    # Health.
    PROBES_SUCCEED = "ProbesSucceed"
    PROBES_FAIL = "ProbesFail"
    NO_PODS = "NoPods"
    NOT_READY_YET = "NotReadyYet"

    # What is wrong with a pod.
    CRASHING = "Crashing"
    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    CONTAINER_NOT_CREATED = "ContainerNotCreated"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    PODS_REFUSED = "PodsRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"

    # What is wrong with a write.
    INVALID_TEMPLATE = "InvalidTemplate"
    INVALID_CHILD = "InvalidChild"
    TEMPLATE_CONFLICT = "TemplateConflict"
    NAME_TAKEN = "NameTaken"
    FORBIDDEN = "Forbidden"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    API_UNAVAILABLE = "ApiUnavailable"
    DEPENDENCY_CYCLE = "DependencyCycle"
    NOT_UNDERSTOOD = "NotUnderstood"
