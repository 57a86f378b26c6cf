// What makes a function a handler.

/** What modules and handlers may be called. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/** Of each handler what is said of it; a handler stays the plain function that it is. */
const specs = new WeakMap();

const SETTINGS = new Set([
  "name",
  "summary",
  "queue",
  "priority",
  "maxAttempts",
  "retry",
  "timeout",
  "cancelGrace",
  "fuel",
  "memoryBytes",
  "redact",
  "payload",
  "result",
  "schedules",
]);

/**
 * Makes a function of a payload and a context a handler, and gives it back.
 *
 * @template {(payload: any, ctx: import("./context.js").Context) => unknown} F
 * @param {object} settings All may be left out but a name, where the function has none; spans are in seconds.
 * @param {string} [settings.name] The function's name where absent.
 * @param {string} [settings.summary] What it does, in a sentence.
 * @param {string} [settings.queue] Where its jobs go.
 * @param {number} [settings.priority] 0, the first to be taken, to 9.
 * @param {number} [settings.maxAttempts] How many attempts a job has in all.
 * @param {{fixed: number} | {linear: number} | {base: number, longest: number} | {delays: number[]}} [settings.retry] How long to wait
 *   before a further attempt, in seconds: the same each time, times the attempt, doubling from `base` up to `longest`, or one by one.
 * @param {number} [settings.timeout] How long a run may take.
 * @param {number} [settings.cancelGrace] How long a cancelled run may go on to put its things in order.
 * @param {number} [settings.fuel] How many instructions a run may take.
 * @param {number} [settings.memoryBytes] How much memory a run may have.
 * @param {string[]} [settings.redact] JSON Pointers into payload and result, such as `/card`, that are masked for those who only look.
 * @param {object} [settings.payload] The payload's JSON Schema, which the host checks before it takes a job.
 * @param {object} [settings.result] The result's, for readers.
 * @param {object[]} [settings.schedules] Recurring jobs that come with the module: `{expression, name, timeZone, payload, misfire}`.
 * @param {F} fn The handler. It is called with the payload and a context.
 * @returns {F} The same function.
 * @throws {TypeError} Something of it is not as it must be; the message says what.
 */
export function handler(settings, fn) {
  if (typeof fn !== "function") throw new TypeError("handler: expected settings and a function");
  const name = settings.name ?? fn.name;
  checkName("handler", name);
  if (fn.constructor.name === "AsyncFunction") {
    throw new TypeError(`${name}: expected a plain function, and not an async one`);
  }
  for (const key of Object.keys(settings)) {
    if (!SETTINGS.has(key)) {
      throw new TypeError(`${name}: there is no setting \`${key}\`: expected one of ${[...SETTINGS].join(", ")}`);
    }
  }
  specs.set(fn, { ...settings, name, fn });
  return fn;
}

/** What is said of handlers, by their names. */
export function specsOf(module, handlers) {
  checkName("module", module);
  const byName = new Map();
  for (const fn of handlers) {
    const spec = specs.get(fn);
    if (!spec) throw new TypeError(`${fn?.name || fn} is no handler: make it one with handler({…}, function)`);
    if (byName.has(spec.name)) throw new TypeError(`two handlers are called \`${spec.name}\`: give one another name`);
    byName.set(spec.name, spec);
  }
  if (byName.size === 0) throw new TypeError("expected at least one handler");
  return byName;
}

function checkName(what, name) {
  if (!NAME.test(name)) {
    throw new TypeError(`\`${name}\` is not a ${what} name: expected 1 to 100 of a-z, A-Z, 0-9, \`_\`, \`-\` and \`.\``);
  }
}
