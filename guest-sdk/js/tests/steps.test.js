// Durable steps, against the stand-in for the host.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Context } from "../src/context.js";
import { CheckpointError, Fatal, handler, Retry, Snooze } from "../src/index.js";
import { run, TestContext } from "../src/testing.js";

function never() {
  throw new Error("it is done again");
}

function fails(Kind, code, said) {
  return (error) => {
    assert.ok(error instanceof Kind, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, said);
    return true;
  };
}

test("each step is done once, whichever of them an attempt fails after", () => {
  const done = [];
  const three = handler({ name: "three" }, (failAfter, ctx) => {
    let total = 0;
    ["one", "two", "three"].forEach((name, index) => {
      // What the work returns would differ from run to run.
      total += ctx.step(name, (key) => done.push(key));
      if (index + 1 === failAfter) throw new Retry("asked", "the test asked for it");
    });
    return total;
  });
  const ctx = new TestContext({ id: "J" });
  for (const failAfter of [1, 2, 3]) {
    assert.throws(() => run(three, failAfter, ctx), fails(Retry, "asked", /asked for it/));
  }
  assert.equal(run(three, 0, ctx), 1 + 2 + 3);
  assert.deepEqual(done, ["J-one", "J-two", "J-three"]);
  // As all languages have it.
  assert.deepEqual(ctx.checkpoints, { "windlass:step:one": 1, "windlass:step:two": 2, "windlass:step:three": 3 });
});

test("a step that fails is not recorded and throws what it throws", () => {
  const ctx = new TestContext();
  for (const thrown of [new Snooze(5), new Fatal("declined", "no"), new TypeError("x")]) {
    const raises = () => {
      throw thrown;
    };
    assert.throws(() => ctx.step("charge", raises), (error) => error === thrown);
  }
  assert.deepEqual(ctx.steps, {});
  // It failed, so the same run may try again.
  assert.equal(ctx.step("charge", () => 7), 7);
  assert.deepEqual(ctx.steps, { charge: 7 });
});

test("a recorded step is not done again, also where it returned nothing", () => {
  const ctx = new TestContext();
  ctx.addStep("mail");
  ctx.addStep("charge", { number: 7 });
  assert.equal(ctx.step("mail", never), null);
  assert.deepEqual(ctx.step("charge", never), { number: 7 });
  assert.deepEqual(ctx.logs.map(([level]) => level), ["debug", "debug"]);
  assert.equal(ctx.step("find", () => undefined), null);
});

test("an interrupted step is done again with the same key", () => {
  const keys = [];
  const charge = handler({ name: "charge" }, (_, ctx) => ctx.step("charge", (key) => void keys.push(key)));
  const ctx = new TestContext({ id: "J" });
  run(charge, null, ctx);
  run(charge, null, ctx);
  ctx.forgetStep("charge");
  run(charge, null, ctx);
  assert.deepEqual(keys, ["J-charge", "J-charge"]);
});

test("a bad name and one that is used twice are refused before anything is done", () => {
  const ctx = new TestContext();
  for (const [name, said] of [
    ["", /the name of a step is empty/],
    ["x".repeat(151), /"xxxxxxxxxxxxxxxxxxxx"… has 151 characters/],
    ["send mail", /"send mail" has " " in it/],
    ["a\nb", /"a\\nb" has "\\n" in it/],
    ["grüezi", /has "ü" in it: expected 1 to 150 visible ASCII characters, such as `charge`$/],
    [7, /is a number/],
  ]) {
    assert.throws(() => ctx.step(name, never), fails(Fatal, "bad-step", said));
  }
  assert.equal(ctx.step("x".repeat(150), (key) => key.length), 36 + 1 + 150);
  ctx.step("mail", () => 1);
  assert.throws(() => ctx.step("mail", never), fails(Fatal, "bad-step", /`mail` is used twice in this run: give each step a name of its own/));
  // Also while it is being done.
  assert.throws(() => ctx.step("outer", () => ctx.step("outer", never)), fails(Fatal, "bad-step", /`outer` is used twice/));
});

test("plain checkpoints and steps of the same name are apart", () => {
  const ctx = new TestContext();
  ctx.putCheckpoint("page", 3);
  assert.deepEqual([ctx.step("page", () => "four"), ctx.checkpoint("page")], ["four", 3]);
  assert.throws(() => ctx.checkpoint("windlass:step:page"), (error) => error instanceof CheckpointError && error.why === "reserved-key");
  const meddles = handler({ name: "meddles" }, (_, ctx) => ctx.putCheckpoint("windlass:step:page", 5));
  assert.throws(() => run(meddles, null, ctx), fails(Fatal, "bad-checkpoint", /kept for steps: choose another/));
  assert.deepEqual(ctx.steps, { page: "four" });
});

test("what JSON cannot hold, and what is over a limit, names the step", () => {
  const ctx = new TestContext();
  assert.throws(() => ctx.step("big", () => 1n), fails(Fatal, "bad-step", /`big` was done, but its result cannot be written as JSON/));
  assert.throws(() => ctx.step("waits", async () => 1), fails(Fatal, "bad-step", /`waits` gave a promise, and nothing waits for it/));
  const large = /`fetch` .* 262146 bytes: expected at most 262144; .* return less/;
  assert.throws(() => ctx.step("fetch", () => "x".repeat(256 << 10)), fails(Fatal, "step-too-large", large));
  assert.deepEqual(ctx.steps, {});
  for (let number = 0; number < 1_000; number += 1) ctx.step(`step-${number}`, () => null);
  assert.throws(() => ctx.step("one-more", () => null), fails(Fatal, "step-too-large", /`one-more` .* at most 1000/));
});

test("what is returned is what a later attempt would read", () => {
  assert.deepEqual(new TestContext().step("find", () => ({ at: new Date(0), more: undefined })), { at: "1970-01-01T00:00:00.000Z" });
});

test("a storage that is away fails the run for now", () => {
  const { parts } = new TestContext();
  const refuses = (why) => () => {
    throw new CheckpointError("it is away", why);
  };
  let done = 0;
  const step = (host) => new Context(parts.job, { ...parts.host, ...host }).step("charge", () => (done += 1));
  assert.throws(() => step({ putCheckpoint: refuses("unavailable") }), fails(Retry, "checkpoint", /the next attempt does it again/));
  assert.throws(() => step({ putCheckpoint: refuses("superseded") }), fails(Retry, "checkpoint", /`charge` was done, but .*: it is away$/));
  assert.throws(() => step({ getCheckpoint: refuses() }), fails(Retry, "checkpoint", /failed to look whether the step `charge`/));
  assert.equal(done, 2);
});
