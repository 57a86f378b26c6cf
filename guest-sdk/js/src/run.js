// One run of a handler: what it is called with, and what its exceptions mean.

import { Context } from "./context.js";
import { Cancelled, CheckpointError, EnqueueError, Fatal, ParentError, Retry, Snooze } from "./errors.js";
import { written } from "./json.js";

/** How much of a stack is kept, in characters. */
const MAX_STACK = 8_000;

/** Runs a handler and gives its result as JSON text; `null` where it has none. What it throws is one of `errors.js`. */
export function run(spec, job, host) {
  const result = called(spec, job, host);
  if (result === undefined || result === null) return null;
  if (typeof result.then === "function") {
    throw new Fatal("bad-result", "the handler gave a promise, and nothing waits for it: expected a plain function");
  }
  try {
    return written(result);
  } catch (error) {
    throw new Fatal("bad-result", `the result cannot be written as JSON: ${error.message}`);
  }
}

function called(spec, job, host) {
  try {
    return spec.fn(JSON.parse(job.payload), new Context(job, host));
  } catch (error) {
    throw told(error);
  }
}

function told(error) {
  if ([Retry, Fatal, Snooze, Cancelled].some((kind) => error instanceof kind)) return error;
  if (error instanceof CheckpointError) {
    // No further attempt would change the others.
    const isPassing = error.why === "superseded" || error.why === "unavailable";
    return isPassing ? new Retry("checkpoint", error.message) : new Fatal("bad-checkpoint", error.message);
  }
  if (error instanceof EnqueueError) return new Retry("enqueue", error.message);
  if (error instanceof ParentError) {
    return error.unknown ? new Fatal("unknown-parent", error.message) : new Retry("parent", error.message);
  }
  if (!(error instanceof Error)) return new Retry("error", String(error));
  const message = error.message ? `${error.name}: ${error.message}` : error.name;
  return new Retry("error", message, { details: { stack: String(error.stack).slice(0, MAX_STACK) } });
}
