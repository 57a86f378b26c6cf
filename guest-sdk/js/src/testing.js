// Native tests of handlers, without a host.

import { Context } from "./context.js";
import { CheckpointError, ParentError } from "./errors.js";
import { specsOf } from "./handler.js";
import { written } from "./json.js";
import { run as runOnce } from "./run.js";
import { PREFIX } from "./steps.js";

/** The most checkpoints that a job may have, and how large each may be, in bytes: the host's own limits. */
const MAX_CHECKPOINTS = 1_000;
const MAX_CHECKPOINT_BYTES = 256 << 10;

/** Stands for a host: it keeps what a handler says, and answers what a test has set. */
export class TestContext extends Context {
  constructor(job = {}) {
    const test = { logs: [], progressTold: [], checkpoints: {}, followUps: [], parents: {}, settings: {}, secrets: {}, isCancelled: false };
    const whole = {
      id: "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55",
      handler: "test",
      queue: "default",
      run: 1,
      attempt: 1,
      maxAttempts: 10,
      headers: [],
      enqueuedAt: 0,
      deadline: null,
      parents: [],
      ...job,
    };
    const host = hostOf(test);
    super(whole, host);
    /** What was logged: level and message. */
    this.logs = test.logs;
    /** How far the run said that it was, in percent. */
    this.progressTold = test.progressTold;
    /** What is kept by key, steps among it; a test may fill it in before. */
    this.checkpoints = test.checkpoints;
    /** Lets a step be recorded, as if an earlier attempt had done it: the handler is not to do it again. */
    this.addStep = (name, result = null) => {
      test.checkpoints[PREFIX + name] = JSON.parse(written(result));
    };
    /** Takes back that a step is recorded, as if the run had been interrupted after its work and before that. */
    this.forgetStep = (name) => {
      delete test.checkpoints[PREFIX + name];
    };
    /** The jobs that were asked for. */
    this.followUps = test.followUps;
    /** Lets the job continue another one, which succeeded with this result, or failed so: `{handler, state, failure}`. */
    this.addParent = (id, result = null, { handler = "test/parent", failure = null, state = failure ? "failed" : "succeeded" } = {}) => {
      // As it comes back from the host.
      test.parents[id] = { id, handler, state, result: JSON.parse(written(result)), failure };
      whole.parents = [...whole.parents, id];
    };
    /** What `config` tells. */
    this.settings = test.settings;
    /** What `secret` tells. */
    this.secrets = test.secrets;
    /** Makes `cancelled` tell so. */
    this.cancel = () => {
      test.isCancelled = true;
    };
    this.parts = { job: whole, host };
  }

  /** What the recorded steps returned, by name, in the order in which they were recorded. */
  get steps() {
    const kept = Object.entries(this.checkpoints).filter(([key]) => key.startsWith(PREFIX));
    return Object.fromEntries(kept.map(([key, value]) => [key.slice(PREFIX.length), value]));
  }
}

function hostOf(test) {
  return {
    log: (level, message) => test.logs.push([level, message]),
    progress: (percent) => test.progressTold.push(percent),
    cancelled: () => test.isCancelled,
    remaining: () => null,
    getCheckpoint: (key) => (key in test.checkpoints ? written(test.checkpoints[key]) : null),
    putCheckpoint: (key, value) => {
      checkSize(test, key, value);
      test.checkpoints[key] = JSON.parse(value);
    },
    getParent: (id) => {
      if (id in test.parents) return test.parents[id];
      throw new ParentError(`unknown: job ${id} is no parent of this one: tell of it with \`addParent\``, true);
    },
    config: (key) => test.settings[key] ?? null,
    secret: (key) => test.secrets[key] ?? null,
    enqueue: (job) => {
      test.followUps.push({ ...job, payload: JSON.parse(job.payload) });
      return `${String(test.followUps.length).padStart(8, "0")}-0000-7000-8000-000000000000`;
    },
  };
}

function checkSize(test, key, value) {
  const bytes = (text) => new TextEncoder().encode(text).length;
  const there = Object.keys(test.checkpoints).length;
  let told;
  if (bytes(key) < 1 || bytes(key) > 200) told = "a key has 1 to 200 bytes";
  else if (bytes(value) > MAX_CHECKPOINT_BYTES) told = `the value has ${bytes(value)} bytes: expected at most ${MAX_CHECKPOINT_BYTES}`;
  else if (there >= MAX_CHECKPOINTS && !(key in test.checkpoints)) {
    told = `the job has ${there} checkpoints: at most ${MAX_CHECKPOINTS} are allowed`;
  }
  if (told) throw new CheckpointError(`too large: ${told}`, "too-large");
}

/** Runs a handler on a payload that is read as on a host, and gives its result as JSON has it. Throws what the host would be told. */
export function run(fn, payload = null, test = new TestContext()) {
  const [spec] = specsOf("test", [fn]).values();
  const text = runOnce(spec, { ...test.parts.job, payload: written(payload) }, test.parts.host);
  return text === null ? null : JSON.parse(text);
}
