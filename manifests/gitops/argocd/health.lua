-- What Argo CD shows of an Agent, an AgentUpgrade and a ModelDeployment. The three speak alike: what
-- they are is in their conditions, of which Stalled says that nothing goes on by itself.
local waits_for_people = {
  AgentStopped = true,
  ApprovalOutdated = true,
  ApprovalRequired = true,
  ApprovalUnchecked = true,
  Inconclusive = true,
  Paused = true,
  PolicyMissing = true,
  WaitingForPromotion = true,
}
local stopped = { Maintenance = true, Offline = true, Suspended = true }

local metadata, spec, status = obj.metadata, obj.spec or {}, obj.status or {}

if (metadata.annotations or {})["agentherd.dev/unmanaged"] == "true" then
  return { status = "Suspended", message = "it is not managed: agentherd.dev/unmanaged is true" }
end
if status.observedGeneration ~= metadata.generation then
  return { status = "Progressing", message = "the operator has not seen the latest change" }
end

local ready, stalled
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then ready = condition end
  if condition.type == "Stalled" then stalled = condition end
end

if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end
if ready == nil then
  return { status = "Progressing", message = "the operator has not said what it makes of it" }
end
if ready.status == "True" then
  if stopped[spec.operatingMode] then
    return { status = "Suspended", message = ready.message }
  end
  return { status = "Healthy", message = ready.message }
end
if status.phase == "Error" or status.phase == "Failed" then
  return { status = "Degraded", message = ready.message }
end
if waits_for_people[ready.reason] then
  return { status = "Suspended", message = ready.message }
end
return { status = "Progressing", message = ready.message }
