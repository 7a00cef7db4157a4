"""Two clusters side by side share nothing that could clash."""

from __future__ import annotations

from devcluster.layout import normal, scale


def test_normal_and_scale_clusters_share_no_name_file_or_port() -> None:
    """A scale run never disturbs the cluster of the demo."""
    one, other = normal({}), scale({})

    assert one.namespace != other.namespace
    assert one.state != other.state
    assert one.api.number != other.api.number


def test_a_port_can_be_moved_by_its_variable_and_an_empty_one_changes_nothing() -> None:
    """PortTaken names the variable, so it has to work."""
    assert normal({"AGENTHERD_API_PORT": "7001"}).api.number == 7001
    assert normal({"AGENTHERD_API_PORT": ""}).api.number == normal({}).api.number
