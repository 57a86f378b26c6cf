// What a handler throws where it has no result. Any other exception is a `Retry` with the code `error`.

class Failure extends Error {
  /**
   * @param {string} code A short, stable name for programs to tell failures apart by, such as `card-declined`.
   * @param {string} message One sentence for people.
   * @param {{details?: unknown}} [options] `details` is anything else worth keeping, that JSON knows.
   */
  constructor(code, message, { details } = {}) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** It went wrong and may go right later: try again after the delay of the job's retry policy, or after `after` seconds. */
export class Retry extends Failure {
  /**
   * @param {string} code As in any failure.
   * @param {string} message As in any failure.
   * @param {{details?: unknown, after?: number}} [options] `after` is in seconds.
   */
  constructor(code, message, { details, after } = {}) {
    super(code, message, { details });
    this.after = after;
  }
}

/** It went wrong and always will: no further attempt. */
export class Fatal extends Failure {}

/** Nothing went wrong, it is only too early: run again after this many seconds. The attempt does not count. */
export class Snooze extends Error {
  /** @param {number} seconds How long to wait. */
  constructor(seconds) {
    super(`again in ${seconds} s`);
    this.name = "Snooze";
    this.seconds = seconds;
  }
}

/** The handler saw that its job was cancelled and has put its things in order. */
export class Cancelled extends Error {
  constructor() {
    super("the job was cancelled");
    this.name = "Cancelled";
  }
}

/** A checkpoint was not kept, or could not be read. */
export class CheckpointError extends Error {
  name = "CheckpointError";

  /**
   * @param {string} message What keeps it from that.
   * @param {"invalid-json" | "too-large" | "reserved-key" | "superseded" | "unavailable"} [why] For programs.
   */
  constructor(message, why = "unavailable") {
    super(message);
    this.why = why;
  }
}

/** Nothing can be told of a parent. */
export class ParentError extends Error {
  name = "ParentError";

  /**
   * @param {string} message What keeps it from being told.
   * @param {boolean} [unknown] It is no parent of this job, or has been removed since; else the storage could not be reached.
   */
  constructor(message, unknown = false) {
    super(message);
    this.unknown = unknown;
  }
}

/** A follow-up job was not taken. */
export class EnqueueError extends Error {
  name = "EnqueueError";
}
