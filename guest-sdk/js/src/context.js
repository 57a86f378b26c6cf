// A handler's view of its job and its host.

import { Cancelled, Retry } from "./errors.js";
import { checked } from "./follow_up.js";
import { written } from "./json.js";
import { checkKey, Steps } from "./steps.js";

/** What a handler may ask about its job, and what it may tell the host meanwhile. */
export class Context {
  #job;
  #host;
  #steps;

  constructor(job, host) {
    this.#job = job;
    this.#host = host;
    this.#steps = new Steps(job, host);
  }

  /** The job's id, a UUID: the same for every attempt. */
  get id() {
    return this.#job.id;
  }

  /** The handler's name within its module. */
  get handler() {
    return this.#job.handler;
  }

  /** The queue that the job was taken from. */
  get queue() {
    return this.#job.queue;
  }

  /** The number of this claim of the job: strictly increasing, never given back. */
  get run() {
    return this.#job.run;
  }

  /** The counted try, from 1. */
  get attempt() {
    return this.#job.attempt;
  }

  /** How many attempts the job has in all. */
  get maxAttempts() {
    return this.#job.maxAttempts;
  }

  /** What the application attached to the job, by name. */
  get headers() {
    return Object.fromEntries(this.#job.headers);
  }

  /** When the job was made, a `Date`. */
  get enqueuedAt() {
    return new Date(Number(this.#job.enqueuedAt));
  }

  /** When the host stops this run, a `Date`; `null` where it has no limit. */
  get deadline() {
    return this.#job.deadline == null ? null : new Date(Number(this.#job.deadline));
  }

  /** The ids of the jobs that this one continues, in the order in which they were given. */
  get parents() {
    return this.#job.parents;
  }

  /**
   * How one of them ended: `handler` is `module/handler`, `state` is `succeeded`, `failed` or `deleted`, or another one where it was
   * requeued meanwhile; `result` is what it gave, `null` where it gave nothing, and `failure` why its last run did not succeed.
   *
   * @param {string} id One of `parents`.
   * @returns {{id: string, handler: string, state: string, result: any,
   *   failure: {code: string, message: string, details: any} | null}}
   * @throws {ParentError} It is no parent of this job, has been removed since, or the storage cannot be reached.
   */
  parent(id) {
    return this.#host.getParent(id);
  }

  /** How much of the run's time is left, in seconds; `null` where it has no limit. */
  remaining() {
    return this.#host.remaining();
  }

  /** Whether somebody asked for the job to be cancelled; only told to handlers with a `cancelGrace`. */
  cancelled() {
    return this.#host.cancelled();
  }

  /** Ends the run where somebody asked for that, by throwing `Cancelled`. */
  checkCancelled() {
    if (this.cancelled()) throw new Cancelled();
  }

  /** Says how far the run is, 0 to 100. */
  progress(percent, note = null) {
    this.#host.progress(percent, note);
  }

  /** Logs every step, for the author alone. */
  trace(message, fields) {
    this.#log("trace", message, fields);
  }

  /** Logs what helps to understand a failure. */
  debug(message, fields) {
    this.#log("debug", message, fields);
  }

  /** Logs what normally happens. */
  info(message, fields) {
    this.#log("info", message, fields);
  }

  /** Logs what should not happen and was dealt with. */
  warn(message, fields) {
    this.#log("warn", message, fields);
  }

  /** Logs what failed. */
  error(message, fields) {
    this.#log("error", message, fields);
  }

  /** Gives what this attempt or an earlier one put under the key; `undefined` where none did. Throws `CheckpointError`. */
  checkpoint(key) {
    checkKey(key);
    const kept = this.#host.getCheckpoint(key);
    return kept == null ? undefined : JSON.parse(kept);
  }

  /** Keeps a value under a key (1 to 200 bytes) for this attempt and all later ones. When it returns, the value survives the host.
   * Throws `CheckpointError`; keys that begin with `windlass:step:` are kept for steps. */
  putCheckpoint(key, value) {
    checkKey(key);
    this.#host.putCheckpoint(key, written(value));
  }

  /**
   * Does a part of the handler once: later attempts get what it returned, and do not do it again.
   *
   * The work is given a key, the job's id and the step's name: the same in every attempt. A run that is interrupted after the work and
   * before it is recorded does the work again; who is asked with the same key twice can tell. What the work throws is thrown as it is,
   * and nothing is recorded. Jobs are asked for outside of steps: those of an attempt that fails are dropped.
   *
   * @param {string} name 1 to 150 visible ASCII characters, used once in a run; after a failure it may be used again.
   * @param {(key: string) => unknown} work A plain function.
   * @returns {any} What was recorded as JSON, in the first attempt too; `null` where the work returned nothing.
   * @throws {Fatal} With the code `bad-step` where the name is not as it must be or is used twice, or JSON cannot hold the result;
   *   `step-too-large` where that is over 256 KiB, or the job has too many.
   * @throws {Retry} With the code `checkpoint`: the storage cannot be reached, or the run was taken away.
   */
  step(name, work) {
    return this.#steps.do(name, work);
  }

  /** Gives a setting of the module; `null` where the operator set none. */
  config(key) {
    return this.#host.config(key);
  }

  /** Gives a secret that is granted to the module; `null` where none is. Do not log it. */
  secret(key) {
    return this.#host.secret(key);
  }

  /** Gives a setting that the handler cannot do without; throws a `Retry` where there is none, since one may be set. */
  requireConfig(key) {
    return there("config value", key, this.config(key));
  }

  /** Gives a secret that the handler cannot do without; throws a `Retry` where there is none, since one may be granted. */
  requireSecret(key) {
    return there("secret", key, this.secret(key));
  }

  /**
   * Asks for a job and gives its id. It is enqueued when this handler succeeds, in the same step.
   *
   * @param {string} handler `module/handler`, or the name of a handler of the same module.
   * @param {unknown} [payload] What it is to work on.
   * @param {import("./follow_up.js").FollowUpOptions} [options] When it may start, and what else it depends on.
   * @returns {string}
   * @throws {EnqueueError} It was not taken.
   * @throws {TypeError} An option is not as it must be.
   */
  enqueue(handler, payload = null, options = {}) {
    return this.#host.enqueue({ handler, payload: written(payload), ...checked(options) });
  }

  #log(level, message, fields) {
    this.#host.log(level, String(message), fields === undefined ? null : written(fields));
  }
}

function there(what, key, value) {
  if (value !== null) return value;
  throw new Retry("missing-setting", `the ${what} \`${key}\` is missing: ask the operator to grant it to this module`);
}
