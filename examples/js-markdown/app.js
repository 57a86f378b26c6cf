// What the component exports.

import { component } from "windlass-guest/component";

import { broken, count, remember, render } from "./handlers.js";

export const handlers = component("js-markdown", "0.1.0", [render, remember, count, broken]);
