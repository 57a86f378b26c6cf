// The bridge to the contract in `wit/`: for components alone, since its imports are nowhere else.

import config from "windlass:job/config@0.1.0";
import context from "windlass:job/context@0.1.0";
import log from "windlass:job/log@0.1.0";
import queue from "windlass:job/queue@0.1.0";

import { Cancelled, CheckpointError, EnqueueError, Fatal, ParentError, Retry, Snooze } from "./errors.js";
import { extensions } from "./follow_up.js";
import { specsOf } from "./handler.js";
import { written } from "./json.js";
import { run } from "./run.js";

/**
 * Makes handlers what a component exports: `export const handlers = component("texts", "0.1.0", [count])`.
 *
 * @param {string} module The module's name.
 * @param {string} version The author's version.
 * @param {Function[]} fns Its handlers.
 */
export function component(module, version, fns) {
  const specs = specsOf(module, fns);
  return {
    describe: () => ({
      name: module,
      version,
      sdk: "windlass-guest for JavaScript 0.1.0",
      handlers: [...specs.values()].map(described),
    }),
    run: (job) => {
      const spec = specs.get(job.handler);
      try {
        // The host asks for no handler that is not described.
        if (!spec) throw new Fatal("unknown-handler", `there is no handler \`${job.handler}\``);
        return run(spec, job, host);
      } catch (error) {
        throw failed(error);
      }
    },
  };
}

function described(spec) {
  return {
    name: spec.name,
    summary: spec.summary ?? null,
    queue: spec.queue ?? null,
    priority: spec.priority ?? null,
    maxAttempts: spec.maxAttempts ?? null,
    retry: policy(spec.retry),
    timeout: ms(spec.timeout),
    cancelGrace: ms(spec.cancelGrace),
    fuel: spec.fuel ?? null,
    memory: spec.memoryBytes ?? null,
    payloadSchema: json(spec.payload),
    resultSchema: json(spec.result),
    redact: spec.redact ?? [],
    schedules: (spec.schedules ?? []).map((schedule) => ({
      name: schedule.name ?? null,
      expression: schedule.expression,
      timeZone: schedule.timeZone ?? null,
      payload: json(schedule.payload),
      misfire: schedule.misfire ?? null,
    })),
    extensions: [],
  };
}

function policy(retry) {
  if (!retry) return null;
  if ("fixed" in retry) return { tag: "fixed", val: ms(retry.fixed) };
  if ("linear" in retry) return { tag: "linear", val: ms(retry.linear) };
  if ("delays" in retry) return { tag: "delays", val: retry.delays.map(ms) };
  return { tag: "exponential", val: { base: ms(retry.base), max: ms(retry.longest) } };
}

function failed(error) {
  if (error instanceof Cancelled) return { tag: "cancelled" };
  if (error instanceof Snooze) return { tag: "snooze", val: ms(error.seconds) };
  const failure = { code: error.code, message: error.message, details: details(error.details) };
  if (error instanceof Fatal) return { tag: "fatal", val: failure };
  if (error instanceof Retry && error.after !== undefined) return { tag: "retry-after", val: [ms(error.after), failure] };
  return { tag: "retry", val: failure };
}

function details(value) {
  try {
    return json(value);
  } catch {
    return written(String(value));
  }
}

const json = (value) => (value === undefined ? null : written(value));
const ms = (seconds) => (seconds === undefined ? null : Math.max(0, Math.round(seconds * 1000)));

/** Calls the host, and makes errors of what it refuses. */
const host = {
  log: (level, message, fields) => log.write(level, message, fields),
  progress: (percent, note) => context.progress(percent, note),
  cancelled: () => context.cancelled(),
  remaining: () => {
    const left = context.remaining();
    return left === null || left === undefined ? null : left / 1000;
  },
  getCheckpoint: (key) => asked(CheckpointError, () => context.getCheckpoint(key)) ?? null,
  putCheckpoint: (key, value) => asked(CheckpointError, () => context.putCheckpoint(key, value)),
  getParent: (id) => {
    const told = asked(ParentError, () => context.getParent(id));
    return {
      id,
      handler: told.handler,
      state: told.state,
      result: parsed(told.result),
      failure: told.failure ? { ...told.failure, details: parsed(told.failure.details) } : null,
    };
  },
  config: (key) => config.get(key) ?? null,
  secret: (key) => config.secret(key) ?? null,
  enqueue: (job) =>
    asked(EnqueueError, () =>
      queue.enqueue({
        handler: job.handler,
        payload: job.payload,
        queue: job.queue ?? null,
        priority: job.priority ?? null,
        start: start(job),
        maxAttempts: job.maxAttempts ?? null,
        retry: policy(job.retry),
        timeout: ms(job.timeout),
        tags: job.tags ?? [],
        headers: Object.entries(job.headers ?? {}),
        extensions: extensions(job),
      }),
    ),
};

function start({ at, delay }) {
  if (at !== undefined) return { tag: "at", val: Math.max(0, at.getTime()) };
  return delay === undefined ? { tag: "now" } : { tag: "after", val: ms(delay) };
}

function parsed(text) {
  return text == null ? null : JSON.parse(text);
}

function asked(Kind, call) {
  try {
    return call();
  } catch (refused) {
    // A case of the contract's, with or without a text; what comes with it depends on how the bindings throw.
    const said = refused?.payload ?? refused;
    if (said?.tag === undefined) throw refused;
    const words = said.tag.replaceAll("-", " ");
    const told = said.val === undefined || said.val === null ? words : `${words}: ${said.val}`;
    throw new Kind(told, Kind === ParentError ? said.tag === "unknown" : said.tag);
  }
}
