// Native tests of handlers, without a host.

import { Context, written } from "./context.js";
import { ParentError } from "./errors.js";
import { specsOf } from "./handler.js";
import { run as runOnce } from "./run.js";

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
    /** What is kept by key; a test may fill it in before. */
    this.checkpoints = test.checkpoints;
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
}

function hostOf(test) {
  return {
    log: (level, message) => test.logs.push([level, message]),
    progress: (percent) => test.progressTold.push(percent),
    cancelled: () => test.isCancelled,
    remaining: () => null,
    getCheckpoint: (key) => (key in test.checkpoints ? written(test.checkpoints[key]) : null),
    putCheckpoint: (key, value) => {
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

/** Runs a handler on a payload that is read as on a host, and gives its result as JSON has it. Throws what the host would be told. */
export function run(fn, payload = null, test = new TestContext()) {
  const [spec] = specsOf("test", [fn]).values();
  const text = runOnce(spec, { ...test.parts.job, payload: written(payload) }, test.parts.host);
  return text === null ? null : JSON.parse(text);
}
