"""The client for programs with an event loop."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx
from typing_extensions import Self, Unpack

from . import _calls, _events, _flow, _http, errors, models
from .requests import After, ContinueOn, JobFilter, JobOptions, JobRequest, Misfire, Span, parents_of

T = TypeVar("T")


class AsyncClient:
    """A client of a Windlass host whose methods are awaited; what it takes is what `Client` takes.

    Every method may raise the exceptions of `windlass.errors`, those that stand beside it above all.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        patience: float = _http.DEFAULT_PATIENCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._place = _http.Place.of(url, token, patience)
        self._http = httpx.AsyncClient(**self._place.options(), transport=transport)

    @property
    def url(self) -> str:
        """The host's address."""
        return self._place.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections; it cannot be used any more."""
        await self._http.aclose()

    async def enqueue(self, handler: str, payload: Any = None, **options: Unpack[JobOptions]) -> models.Enqueued:
        """Make a job that may start at once.

        The job's id is made here and sent along, so a request that is sent again makes no second job: `existing` of the
        answer tells. `options` are the fields of `JobRequest`.

        Raises:
            UnknownHandler: no module has the handler.
            PayloadMismatch: the payload does not match its schema.
            NotUnique: it is to be unique, and another one is there.
            InvalidField: something else is not as it must be.
            ValueError: the payload is not JSON.

        """
        return await self._run(self._call(_calls.enqueue(JobRequest(handler, payload, **options))))

    async def enqueue_many(self, jobs: Iterable[JobRequest]) -> list[models.Enqueued]:
        """Make up to 10,000 jobs, all or none, with no more than 16 MiB of payloads.

        Raises:
            Problem: as `enqueue` does; `detail` names the job that is wrong by its place.

        """
        return await self._run(self._call(_calls.enqueue_many(jobs)))

    async def schedule(
        self,
        handler: str,
        payload: Any = None,
        *,
        at: datetime.datetime | None = None,
        delay: Span | None = None,
        **options: Unpack[JobOptions],
    ) -> models.Enqueued:
        """Make a job that may start at an instant, or after a delay: one of the two.

        Raises:
            ValueError: none or both are given, or the instant names no time zone.
            Problem: as `enqueue` does.

        """
        if (at is None) == (delay is None):
            raise ValueError("schedule: expected one of `at` and `delay`")
        request = JobRequest(handler, payload, at=at, delay=delay, **options)
        return await self._run(self._call(_calls.enqueue(request)))

    async def continue_with(
        self,
        parents: _calls.Id | models.Enqueued | Sequence[_calls.Id | models.Enqueued],
        handler: str,
        payload: Any = None,
        *,
        on: ContinueOn = "success",
        **options: Unpack[JobOptions],
    ) -> models.Enqueued:
        """Make a job that waits for others, and starts when all of them have ended so.

        Raises:
            Problem: as `enqueue` does; also where there is no such job.

        """
        options["after"] = After(parents_of(parents), on)
        return await self._run(self._call(_calls.enqueue(JobRequest(handler, payload, **options))))

    async def get(self, job: _calls.Id) -> models.Job:
        """Read all that is known of a job.

        Raises:
            NotFound: there is no such job, or it was removed after its retention.

        """
        return await self._run(self._call(_calls.get(job)))

    async def jobs(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: Unpack[JobFilter]
    ) -> models.Page[models.JobSummary]:
        """Read a page of jobs, the newest first: `limit` of them, 1 to 1,000, by default 50."""
        return await self._run(self._call(_calls.jobs(filters, cursor, limit)))

    async def all_jobs(self, **filters: Unpack[JobFilter]) -> AsyncIterator[models.JobSummary]:
        """Go through all jobs that pass a filter, the newest first, page by page."""
        cursor = None
        while True:
            page = await self._run(self._call(_calls.jobs(filters, cursor, 1000)))
            for job in page.items:
                yield job
            if page.next is None:
                return
            cursor = page.next

    async def count(self, **filters: Unpack[JobFilter]) -> models.FilteredCount:
        """Count the jobs that pass a filter, up to 100,000."""
        return await self._run(self._call(_calls.count(filters)))

    async def counts(self) -> dict[str, int]:
        """Count the jobs by state; a state without jobs may be absent."""
        return await self._run(self._call(_calls.counts()))

    async def wait(self, job: _calls.Id, timeout: float | None = None) -> models.Job:
        """Wait until a job has ended, however it did, and read it.

        Takes no polling: the host answers when the job ends. `timeout` is in seconds; for ever where absent.

        Raises:
            WaitTimeout: it has not ended in time.

        """
        return await self._run(_flow.wait(job, timeout, self._place.manner))

    async def result(self, job: _calls.Id, timeout: float | None = None) -> Any:
        """Wait until a job has succeeded and give its result.

        Raises:
            JobFailed: it has failed, or was deleted or cancelled.
            WaitTimeout: it has not ended within `timeout` seconds.

        """
        return await self._run(_flow.result(job, timeout, self._place.manner))

    async def logs(
        self, job: _calls.Id, *, cursor: str | None = None, limit: int | None = None
    ) -> models.Page[models.LogLine]:
        """Read a page of what a job's runs logged, the oldest first; `next` of the last page goes on from there."""
        return await self._run(self._call(_calls.logs(job, cursor, limit)))

    async def cancel(self, job: _calls.Id) -> models.CommandReply:
        """Delete a job that waits, stop one that runs.

        Raises:
            Conflict: it has ended.

        """
        return await self._run(self._call(_calls.cancel(job)))

    async def delete(self, job: _calls.Id) -> models.CommandReply:
        """Delete a job, whether it has ended or not; one that runs is stopped first.

        Raises:
            Conflict: it is deleted already.

        """
        return await self._run(self._call(_calls.delete(job)))

    async def requeue(
        self,
        job: _calls.Id,
        *,
        expected_state: models.State | str | None = None,
        fresh: bool = False,
        newest: bool = False,
    ) -> models.CommandReply:
        """Enqueue a job anew, its attempts counted from the beginning.

        `fresh` forgets checkpoints and recorded steps, `newest` runs it on the version that is active now.

        Raises:
            Conflict: it is enqueued or runs, or is not in the state that was expected.

        """
        return await self._run(self._call(_calls.requeue(job, expected_state, fresh, newest)))

    async def modules(self) -> list[models.Module]:
        """Read all modules, their versions and handlers."""
        return await self._run(self._call(_calls.modules()))

    async def module(self, name: str) -> models.Module:
        """Read one module.

        Raises:
            NotFound: there is none of this name.

        """
        return await self._run(self._call(_calls.module(name)))

    async def deploy(
        self,
        component: bytes,
        name: str | None = None,
        *,
        activate: bool = True,
        signature: str | None = None,
        force: bool = False,
    ) -> models.Deployed:
        """Deploy a component, under the name that it gives itself where none is given here.

        Takes as long as compiling it does: some seconds for one of Python or JavaScript. `signature` is the text of its `.minisig`
        file, where the host asks for one. With `force` new jobs go to it whatever that breaks.

        Raises:
            ModuleRefused: it is no component, does not keep to the contract, or is not signed as the host asks.
            TooLarge: it is over the host's limit.
            WouldBreak: jobs wait that it could not do; nothing is changed.

        """
        return await self._run(self._call(_calls.deploy(component, name, activate, signature, force)))

    async def activate(self, module: str, digest: str, *, force: bool = False) -> models.Module:
        """Make a version of a module the one that new jobs go to; with `force` whatever that breaks.

        Raises:
            NotFound: there is no such version.
            WouldBreak: jobs wait that it could not do.

        """
        return await self._run(self._call(_calls.activate(module, digest, force)))

    async def begin_canary(self, module: str, digest: str, percent: int, *, force: bool = False) -> models.Module:
        """Send so many of a hundred new jobs, 1 to 100, to a version beside the active one; with `force` whatever that breaks.

        The share of any other version ends; called again for the same one, it changes its share.

        Raises:
            NotFound: there is no such version.
            Conflict: it is the active version, or there is none beside it.
            WouldBreak: jobs wait that it could not do; what it has no handler for goes on to the active version.

        """
        return await self._run(self._call(_calls.begin_canary(module, digest, percent, force)))

    async def promote_canary(self, module: str, *, force: bool = False) -> models.Module:
        """Send all new jobs to the canary; with `force` whatever that breaks.

        Raises:
            NotFound: there is no canary.
            WouldBreak: jobs wait that it could not do.

        """
        return await self._run(self._call(_calls.promote_canary(module, force)))

    async def drop_canary(self, module: str, *, keep_pins: bool = False) -> models.CanaryDropped:
        """Send all new jobs to the active version again.

        The jobs that began on the canary and wait to go on do so on the active version too, unless `keep_pins` is set.

        Raises:
            NotFound: there is no canary.

        """
        return await self._run(self._call(_calls.drop_canary(module, keep_pins)))

    async def retire(self, module: str, digest: str, *, keep_pins: bool = False) -> models.Retired:
        """Retire a version: nothing starts on it any more, and its component is removed.

        The jobs that began on it and wait to go on do so on the active version, unless `keep_pins` is set.

        Raises:
            NotFound: there is no such version.
            Conflict: new jobs go to it, or jobs need it.

        """
        return await self._run(self._call(_calls.retire(module, digest, keep_pins)))

    async def queues(self) -> list[models.Queue]:
        """Read the queues that hold jobs or are paused."""
        return await self._run(self._call(_calls.queues()))

    async def pause_queue(self, name: str) -> models.Queue:
        """Take no more jobs from a queue; those that run go on."""
        return await self._run(self._call(_calls.set_paused(name, True)))

    async def resume_queue(self, name: str) -> models.Queue:
        """Take jobs from a queue again."""
        return await self._run(self._call(_calls.set_paused(name, False)))

    async def servers(self) -> list[models.Server]:
        """Read the host processes that take jobs."""
        return await self._run(self._call(_calls.servers()))

    async def put_recurring(
        self,
        name: str,
        schedule: str,
        handler: str,
        payload: Any = None,
        *,
        time_zone: str | None = None,
        misfire: Misfire = "run-once",
        catch_up_limit: int | None = None,
        **options: Unpack[JobOptions],
    ) -> models.RecurringJob:
        """Put a recurring job in place, or change it; the same again changes nothing, so do it at every start.

        `schedule` is a cron expression of five or six fields, `@daily` and its kin, or `every 90s`; `time_zone` an IANA
        name, UTC where absent. `options` are the fields of `JobRequest`; an id is none of them.

        Raises:
            InvalidField: the schedule or something else is not as it must be.

        """
        if "id" in options:
            raise ValueError("id: each job that a recurring one makes has an id of its own")
        job = JobRequest(handler, payload, **options)
        call = _calls.put_recurring(name, schedule, job, time_zone, misfire, catch_up_limit)
        return await self._run(self._call(call))

    async def recurring(
        self, *, cursor: str | None = None, limit: int | None = None
    ) -> models.Page[models.RecurringJob]:
        """Read a page of recurring jobs, by name."""
        return await self._run(self._call(_calls.recurring_jobs(cursor, limit)))

    async def get_recurring(self, name: str) -> models.RecurringJob:
        """Read one recurring job, with its next five instants and what came of the last.

        Raises:
            NotFound: there is none of this name.

        """
        return await self._run(self._call(_calls.recurring_job(name)))

    async def pause_recurring(self, name: str) -> models.RecurringJob:
        """Pass a recurring job over until it is resumed.

        Raises:
            NotFound: there is none of this name.

        """
        return await self._run(self._call(_calls.set_recurring_paused(name, True)))

    async def resume_recurring(self, name: str) -> models.RecurringJob:
        """Go on with a recurring job at its next instant.

        Raises:
            NotFound: there is none of this name.

        """
        return await self._run(self._call(_calls.set_recurring_paused(name, False)))

    async def trigger_recurring(self, name: str) -> models.Enqueued:
        """Enqueue a recurring job's job now; when it is due next does not change.

        It is never sent again by itself, since each time makes a job: where the answer is lost, look before you repeat.

        Raises:
            NotFound: there is none of this name.

        """
        return await self._run(self._call(_calls.trigger_recurring(name)))

    async def remove_recurring(self, name: str) -> None:
        """Remove a recurring job; the jobs that it made stay.

        Raises:
            NotFound: there is none of this name.

        """
        await self._run(self._call(_calls.remove_recurring(name)))

    def events(self, *jobs: _calls.Id) -> AsyncEventStream:
        """Follow what happens, and what happens to these jobs, at most 8.

        Use it as a context: when its body begins there is a connection, so that what is read from then on is not older
        than what will be told.

        ```python
        async with client.events(job) as events:
            show(await client.get(job))
            async for event in events:
                if event.kind in ("job", "missed"):
                    show(await client.get(job))
        ```

        A lost connection is made anew, and the host tells what was missed meanwhile, or `missed` where it does not know.
        """
        return AsyncEventStream(self._http, self._place, jobs)

    def _call(self, call: _calls.Call[T]) -> _flow.Flow[T]:
        return _flow.exchange(call, self._place.manner)

    async def _run(self, flow: _flow.Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                if isinstance(step, _flow.Sleep):
                    await anyio.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    answer = await self._send(step.call)
                except (_flow.NotSent, _flow.Lost) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, call: _calls.Call[Any]) -> _flow.Answer:
        if self._http.is_closed:
            raise errors.NotStarted(
                f"failed to {call.what}: the client is closed; make one that lives as long as its use"
            )
        try:
            response = await self._http.request(**self._place.request(call))
        except httpx.TransportError as error:
            raise _http.trouble(error) from error
        return _http.answer(response, response.content)


class AsyncEventStream:
    """Events that are followed; see `AsyncClient.events`."""

    def __init__(self, http: httpx.AsyncClient, place: _http.Place, jobs: tuple[_calls.Id, ...]) -> None:
        self._http = http
        self._place = place
        self._following = _events.Following(jobs, place.manner)
        self._response: httpx.Response | None = None

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End it."""
        if self._response is not None:
            await self._response.aclose()
            self._response = None

    async def __aiter__(self) -> AsyncIterator[models.Event]:
        while True:
            response = await self._connect()
            try:
                async for line in response.aiter_lines():
                    event = self._following.feed(line)
                    if event is not None:
                        yield event
                lost: Exception = _flow.Lost("the stream ended")
            except httpx.TransportError as error:
                lost = _http.trouble(error)
            await self.aclose()
            await anyio.sleep(self._following.lost(lost))

    async def _connect(self) -> httpx.Response:
        while self._response is None:
            try:
                request = _http.stream_request(self._http, self._place, self._following)
                response = await self._http.send(request, stream=True)
                if response.status_code == 200:
                    self._following.begun()
                    self._response = response
                    break
                answer = _http.answer(response, await response.aread())
                await response.aclose()
                pause = self._following.refused(answer)
            except httpx.TransportError as error:
                pause = self._following.lost(_http.trouble(error))
            await anyio.sleep(pause)
        return self._response
