"""
deployment: store the schedules that an application declares, when a process with its code begins.

Each process of the application does so, and finds it done. It matters little which one is first, or whether two are at
once: an unchanged schedule is not written. Processes of an old and a new version that begin by turns write by turns.
"""

from jetq.admin.schedule_keeper import ScheduleKeeper
from jetq.app.application import App
from jetq.jetstream.backend import Backend
from jetq.model.scheduling import SchedulesDeployed
from jetq.model.stored_schedule import code_origin


async def deploy(app: App, backend: Backend) -> SchedulesDeployed:
    """
    Store what *app* declares, and remove what it declared before and does no more.

    Raises:
        InvalidScheduleError: A spec cannot be meant.
        ServerError: No answer, or a refusal.
    """
    now = backend.connection.clock.now()
    declared = [schedule.stored(now, app=app.name) for schedule in app.schedules.values()]
    done = await ScheduleKeeper(backend).deploy(code_origin(app.name), declared)
    if done.written or done.removed or done.refused:
        backend.bus.emit(done)
    return done
