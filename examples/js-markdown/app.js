// What the component exports.

import { component } from "windlass-guest/component";

import { broken, remember, render } from "./handlers.js";

export const handlers = component("js-markdown", "0.1.0", [render, remember, broken]);
