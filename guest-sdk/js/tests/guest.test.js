// Handlers as plain functions, and what their exceptions say.

import assert from "node:assert/strict";
import { test } from "node:test";

import { extensions } from "../src/follow_up.js";
import { Cancelled, Fatal, handler, ParentError, Retry, Snooze } from "../src/index.js";
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

test("a handler reads what the jobs gave that it continues", () => {
  const total = handler({ name: "total" }, (_, ctx) => ctx.parents.reduce((sum, id) => sum + ctx.parent(id).result, 0));
  const ctx = new TestContext();
  ctx.addParent("a", 20);
  ctx.addParent("b", 3, { handler: "shop/charge" });
  assert.equal(run(total, null, ctx), 23);
  assert.deepEqual(ctx.parent("b"), { id: "b", handler: "shop/charge", state: "succeeded", result: 3, failure: null });
  const failure = { code: "declined", message: "no cover", details: { limit: 5 } };
  ctx.addParent("c", null, { failure });
  assert.deepEqual([ctx.parent("c").state, ctx.parent("c").failure], ["failed", failure]);
  const pry = handler({ name: "pry" }, (_, ctx) => ctx.parent("another"));
  assert.throws(() => ctx.parent("another"), (error) => error instanceof ParentError && error.unknown);
  assert.throws(() => run(pry, null, ctx), (error) => error instanceof Fatal && error.code === "unknown-parent");
});

test("a follow-up job may continue others, be unique, expire and count under a key", () => {
  const ctx = new TestContext({ id: "me" });
  const label = ctx.enqueue("label", 1, { retry: { delays: [1, 5] }, at: new Date(0) });
  ctx.enqueue("mail", { order: 7 }, { after: [ctx.id, label], on: "finished", delay: 5, unique: { fields: ["/order"] } });
  const unique = { key: "nightly", period: 60, onConflict: "replace" };
  ctx.enqueue("forget", null, { unique, expiresAt: new Date("2026-12-01T13:00:00+01:00"), limitKey: "tenant:7" });
  assert.deepEqual(ctx.followUps.map(extensions), [
    [],
    [
      ["after", `{"jobs":["me","${label}"],"on":"finished"}`],
      ["unique", '{"on_conflict":"existing","fields":["/order"]}'],
    ],
    [
      ["unique", '{"on_conflict":"replace","key":"nightly","period_ms":60000}'],
      ["expires_at", '"2026-12-01T12:00:00.000Z"'],
      ["limit_key", '"tenant:7"'],
    ],
  ]);
  for (const [options, said] of [
    [{ dely: 1 }, /no option `dely`: expected one of queue, priority/],
    [{ delay: 1, at: new Date(0) }, /and not both/],
    [{ at: "tomorrow" }, /`at` as a Date/],
    [{ expiresAt: new Date("never") }, /`expiresAt` as a Date/],
    [{ after: "an-id" }, /`after` as an array/],
    [{ unique: { key: "k", fields: ["/a"] } }, /a key or fields/],
  ]) {
    assert.throws(() => ctx.enqueue("other", null, options), said);
  }
});

test("a handler knows its times and what it cannot do without", () => {
  const ctx = new TestContext({ enqueuedAt: 1500n, deadline: 2000 });
  assert.deepEqual([ctx.enqueuedAt.getTime(), ctx.deadline.getTime()], [1500, 2000]);
  assert.equal(new TestContext().deadline, null);
  ctx.settings.greeting = "Hello";
  assert.equal(ctx.requireConfig("greeting"), "Hello");
  assert.throws(() => ctx.requireSecret("key"), (error) => error instanceof Retry && error.code === "missing-setting");
});
