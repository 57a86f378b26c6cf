// What the component exports.

import { component } from "windlass-guest/component";

import { greet } from "./handlers.js";

export const handlers = component("{{name}}", "0.1.0", [greet]);
