// Handlers as plain functions, and what their exceptions say.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Cancelled, Fatal, handler, Retry, Snooze } from "../src/index.js";
import { run, TestContext } from "../src/testing.js";

const count = handler({ maxAttempts: 2, payload: { type: "object" } }, function count({ words }, ctx) {
  ctx.info("counting", { words });
  ctx.checkCancelled();
  ctx.progress(50);
  ctx.putCheckpoint("k", words);
  ctx.enqueue("other", { words }, { delay: 5 });
  return words.length;
});

test("a handler stays a plain function", () => {
  const ctx = new TestContext({ attempt: 2 });
  assert.equal(count({ words: ["a", "b"] }, ctx), 2);
  assert.deepEqual(ctx.logs, [["info", "counting"]]);
  assert.deepEqual(ctx.checkpoint("k"), ["a", "b"]);
  assert.equal(ctx.checkpoint("other"), undefined);
  assert.deepEqual(ctx.followUps, [{ handler: "other", payload: { words: ["a", "b"] }, delay: 5 }]);
  assert.deepEqual([ctx.attempt, ctx.progressTold], [2, [50]]);
  assert.equal(run(count, { words: [] }), 0);
});

test("exceptions say what becomes of the job", () => {
  const fails = handler({ name: "fails" }, (what) => {
    if (what === "type") return null.x;
    if (what === "loop") return Object.assign([], { toJSON: () => 1n });
    if (what === "promise") return Promise.resolve(1);
    throw { fatal: new Fatal("f", "no"), snooze: new Snooze(1.5), after: new Retry("r", "later", { after: 2 }), text: "t" }[what];
  });
  assert.throws(
    () => run(fails, "type"),
    (error) => error instanceof Retry && error.code === "error" && error.message.startsWith("TypeError: ") && error.details.stack.length > 0,
  );
  assert.throws(() => run(fails, "loop"), (error) => error instanceof Fatal && /cannot be written as JSON/.test(error.message));
  assert.throws(() => run(fails, "promise"), /nothing waits for it/);
  assert.throws(() => run(fails, "fatal"), Fatal);
  assert.throws(() => run(fails, "snooze"), (error) => error instanceof Snooze && error.seconds === 1.5);
  assert.throws(() => run(fails, "after"), (error) => error.after === 2);
  assert.throws(() => run(fails, "text"), (error) => error.code === "error" && error.message === "t");
  const cancelled = new TestContext();
  cancelled.cancel();
  assert.throws(() => run(count, { words: [] }, cancelled), Cancelled);
});

test("what is no handler is refused with what to write", () => {
  assert.throws(() => run(() => 1), /make it one with handler/);
  assert.throws(() => handler({}, () => 1), /is not a handler name/);
  assert.throws(() => handler({ name: "a", attempts: 1 }, () => 1), /no setting `attempts`: expected one of name, summary/);
  assert.throws(() => handler({ name: "a" }, async () => 1), /not an async one/);
  assert.throws(() => handler({ name: "a" }), /settings and a function/);
});
