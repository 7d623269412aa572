"""The metrics of several processes as those of one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from jetq.observe.summing import Sum, new_registry, say_metrics


def process(runs: int, *, up: int = 1) -> bytes:
    registry = CollectorRegistry()
    counter = Counter("jetq_runs_total", "Runs.", ["queue"], registry=registry)
    counter.labels("Q").inc(runs)
    Gauge("jetq_slots", "Slots.", registry=registry).set(5)
    Gauge("jetq_connection_up", "Up.", registry=registry).set(up)
    Histogram("jetq_seconds", "Seconds.", buckets=(1.0, 10.0), registry=registry).observe(runs)
    return say_metrics(registry)


def page(total: Sum) -> dict[str, float]:
    registry = new_registry()
    registry.register(total)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_counts_measures_and_buckets_add_up_and_the_worst_connection_counts() -> None:
    total = Sum()
    total.learn(1, process(3))
    total.learn(2, process(20, up=0))

    assert page(total) == {
        'jetq_runs_total{queue="Q"}': 23,
        "jetq_slots": 10,
        "jetq_connection_up": 0,
        'jetq_seconds_bucket{le="1.0"}': 0,
        'jetq_seconds_bucket{le="10.0"}': 1,
        'jetq_seconds_bucket{le="+Inf"}': 2,
        "jetq_seconds_count": 2,
        "jetq_seconds_sum": 23,
    }


def test_a_queue_that_two_processes_see_paused_is_paused_once() -> None:
    total, registry = Sum(), CollectorRegistry()
    Gauge("jetq_queue_paused", "Paused.", ["queue"], registry=registry).labels("Q").set(1)
    for process_id in (1, 2):
        total.learn(process_id, say_metrics(registry))

    assert page(total) == {'jetq_queue_paused{queue="Q"}': 1}


def test_what_a_process_says_replaces_what_it_said_before() -> None:
    total = Sum()
    total.learn(1, process(3))
    total.learn(1, process(4))

    assert page(total)['jetq_runs_total{queue="Q"}'] == 4


def test_what_a_process_counted_outlives_it_and_its_gauges_do_not() -> None:
    total = Sum()
    total.learn(1, process(3))
    total.learn(2, process(4))
    total.forget(1)
    total.forget(3)

    found = page(total)
    assert (found['jetq_runs_total{queue="Q"}'], found["jetq_seconds_count"]) == (7, 2)
    assert found["jetq_slots"] == 5


def test_it_learns_what_is_new_before_it_shows_it() -> None:
    total = Sum()
    total.refresh = lambda: total.learn(1, process(9))

    assert page(total)['jetq_runs_total{queue="Q"}'] == 9


def test_the_default_registry_is_that_of_the_process() -> None:
    total = Sum()
    total.learn(1, say_metrics())

    assert "python_info" in str(page(total))
