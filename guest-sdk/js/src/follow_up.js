// Jobs that a handler asks for, and what they depend on besides their turn.

const OPTIONS = new Set([
  "queue",
  "priority",
  "delay",
  "at",
  "maxAttempts",
  "retry",
  "timeout",
  "tags",
  "headers",
  "after",
  "on",
  "unique",
  "expiresAt",
  "limitKey",
]);

/**
 * What a follow-up job must be the only one of, among the unfinished jobs of its handler: those with the same key, or with the same
 * values at these JSON Pointers into the payload, or, where neither is given, with the same payload.
 *
 * @typedef {object} Unique
 * @property {string} [key] 1 to 200 bytes.
 * @property {string[]} [fields] Such as `/order`, at most 20; not together with `key`.
 * @property {number} [period] How long after its making the other one counts, in seconds; however long where absent.
 * @property {"existing" | "replace"} [onConflict] What becomes of this one where another is there: it is left out, which is usual, since
 *   a follow-up job never fails the one that asks for it; or the other one gets its payload and its time, where it still waits.
 */

/**
 * All may be left out.
 *
 * @typedef {object} FollowUpOptions
 * @property {string} [queue] The queue, instead of the handler's.
 * @property {number} [priority] 0, the first to be taken, to 9.
 * @property {number} [delay] Seconds after the handler's success, or after the end of the jobs that it continues.
 * @property {Date} [at] Not before this instant; not together with `delay`.
 * @property {number} [maxAttempts] How many attempts it has in all.
 * @property {object} [retry] How long to wait before a further attempt, as a handler's settings have it.
 * @property {number} [timeout] How long a run may take, in seconds.
 * @property {string[]} [tags] What to find it by.
 * @property {Record<string, string>} [headers] What to attach to it.
 * @property {string[]} [after] The ids of jobs that it continues; `ctx.id` and those of other follow-up jobs may be among them.
 * @property {"success" | "failure" | "finished"} [on] How all of them must have ended; `success` where absent.
 * @property {Unique} [unique] What it must be the only one of.
 * @property {Date} [expiresAt] What has not been started by then is deleted.
 * @property {string} [limitKey] What it counts under where an operator limits keys.
 */

/** Gives options back that are as they must be; throws a `TypeError` that says what is not. */
export function checked(options) {
  for (const key of Object.keys(options)) {
    if (!OPTIONS.has(key)) {
      throw new TypeError(`enqueue: there is no option \`${key}\`: expected one of ${[...OPTIONS].join(", ")}`);
    }
  }
  if (options.delay !== undefined && options.at !== undefined) {
    throw new TypeError("enqueue: expected `delay` or `at`, and not both");
  }
  for (const key of ["at", "expiresAt"]) {
    const instant = options[key];
    if (instant !== undefined && !(instant instanceof Date && Number.isFinite(instant.getTime()))) {
      throw new TypeError(`enqueue: expected \`${key}\` as a Date that is one`);
    }
  }
  for (const key of ["after", "tags"]) {
    if (options[key] !== undefined && !Array.isArray(options[key])) {
      throw new TypeError(`enqueue: expected \`${key}\` as an array of texts`);
    }
  }
  if (options.unique?.key !== undefined && options.unique.fields !== undefined) {
    throw new TypeError("enqueue: expected `unique` with a key or fields, and not both");
  }
  return options;
}

/** What the contract takes of a follow-up job by name: pairs of a name and JSON text. */
export function extensions({ after, on, unique, expiresAt, limitKey }) {
  const named = [];
  if (after?.length) named.push(["after", { jobs: after, on: on ?? "success" }]);
  if (unique !== undefined) named.push(["unique", wire(unique)]);
  if (expiresAt !== undefined) named.push(["expires_at", expiresAt.toISOString()]);
  if (limitKey !== undefined) named.push(["limit_key", limitKey]);
  return named.map(([name, value]) => [name, JSON.stringify(value)]);
}

function wire({ key, fields, period, onConflict }) {
  return {
    on_conflict: onConflict ?? "existing",
    ...(key !== undefined && { key }),
    ...(fields !== undefined && { fields }),
    ...(period !== undefined && { period_ms: Math.max(0, Math.round(period * 1000)) }),
  };
}
