// Handlers of Windlass: plain functions, of which `windlass build` makes a WebAssembly component.

import { Fatal, handler } from "windlass-guest";

export const greet = handler(
  {
    name: "greet",
    summary: "Greets somebody.",
    maxAttempts: 3,
    timeout: 5,
    // A job whose payload does not fit is refused before it is one.
    payload: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
  },
  ({ name }, ctx) => {
    if (name === "") throw new Fatal("no-name", "there is nobody to greet");
    ctx.info(`greeting ${name}`);
    return `Hello, ${name}!`;
  },
);
