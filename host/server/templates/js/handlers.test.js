// The handlers as plain functions, without a host.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Fatal } from "windlass-guest";
import { run, TestContext } from "windlass-guest/testing";

import { greet } from "./handlers.js";

test("somebody is greeted", () => {
  const ctx = new TestContext();
  assert.equal(greet({ name: "Ada" }, ctx), "Hello, Ada!");
  assert.deepEqual(ctx.logs, [["info", "greeting Ada"]]);
});

test("nobody is not greeted", () => {
  assert.throws(() => run(greet, { name: "" }), Fatal);
});
