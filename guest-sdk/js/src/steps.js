// Durable steps: parts of a handler that are not done again once they are recorded, whatever the number of attempts.

import { CheckpointError, Fatal, Retry } from "./errors.js";
import { written } from "./json.js";

/** What the key of each recorded step's checkpoint begins with, in all languages. */
export const PREFIX = "windlass:step:";

/** With the prefix a name is the key of a checkpoint, and with the job's id an idempotency key, which few services take longer. */
const MAX_NAME = 150;

const ALLOWED = "expected 1 to 150 visible ASCII characters, such as `charge`";

/** The steps that a run has done, or is doing. */
export class Steps {
  #job;
  #host;
  #names = new Set();

  constructor(job, host) {
    this.#job = job;
    this.#host = host;
  }

  /** Does one, or gives what an earlier run recorded. */
  do(name, work) {
    checkName(name);
    if (this.#names.has(name)) {
      throw bad(`the step \`${name}\` is used twice in this run: give each step a name of its own, such as \`${name}-2\``);
    }
    this.#names.add(name);
    try {
      const text = this.#found(name);
      return text === null ? this.#done(name, work) : this.#told(name, "recorded by an earlier run, so it is not done again", text);
    } catch (error) {
      // It failed: the same run may try again.
      this.#names.delete(name);
      throw error;
    }
  }

  /** What an earlier run recorded, as JSON text; `null` where none did. */
  #found(name) {
    try {
      return this.#host.getCheckpoint(PREFIX + name);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      throw new Retry("checkpoint", `failed to look whether the step \`${name}\` is recorded: ${error.message}`);
    }
  }

  #done(name, work) {
    // All ids are of the same length, so that it is no other step's.
    const text = recordable(name, work(`${this.#job.id}-${name}`));
    try {
      this.#host.putCheckpoint(PREFIX + name, text);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      throw unrecorded(name, error);
    }
    return this.#told(name, "done and recorded", text);
  }

  /** The value as a later attempt reads it. */
  #told(name, how, text) {
    this.#host.log("debug", `step \`${name}\`: ${how}`, null);
    return JSON.parse(text);
  }
}

/** A plain checkpoint has no key of a step's, so that neither is taken for the other. */
export function checkKey(key) {
  if (String(key).startsWith(PREFIX)) {
    const told = `the key \`${key}\` begins with \`${PREFIX}\`, which is kept for steps: choose another`;
    throw new CheckpointError(told, "reserved-key");
  }
}

function recordable(name, result) {
  if (typeof result?.then === "function") {
    throw bad(`the step \`${name}\` gave a promise, and nothing waits for it: expected a plain function`);
  }
  try {
    // As with a handler's result, nothing is `null`.
    return written(result ?? null);
  } catch (error) {
    throw bad(`the step \`${name}\` was done, but its result cannot be written as JSON: ${error.message}`);
  }
}

function unrecorded(name, error) {
  const failed = `the step \`${name}\` was done, but could not be recorded: ${error.message}`;
  if (error.why === "too-large") {
    const less = "return less from the step, such as where its result is kept, or have fewer steps";
    return new Fatal("step-too-large", `${failed}; a recorded step is a checkpoint of its job: ${less}`);
  }
  if (error.why === "unavailable") return new Retry("checkpoint", `${failed}; the next attempt does it again, with the same key`);
  return error.why === "superseded" ? new Retry("checkpoint", failed) : bad(failed);
}

/** Names go into the headers of requests, as a part of the key. */
function checkName(name) {
  if (typeof name !== "string") throw bad(`the name of a step is a ${typeof name}: ${ALLOWED}`);
  if (name === "") throw bad(`the name of a step is empty: ${ALLOWED}`);
  if (name.length > MAX_NAME) {
    throw bad(`the name of the step ${JSON.stringify(name.slice(0, 20))}… has ${name.length} characters: ${ALLOWED}`);
  }
  const odd = /[^!-~]/u.exec(name);
  if (odd) throw bad(`the name of the step ${JSON.stringify(name)} has ${JSON.stringify(odd[0])} in it: ${ALLOWED}`);
}

function bad(message) {
  return new Fatal("bad-step", message);
}
