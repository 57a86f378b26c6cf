// Handlers of Windlass in JavaScript: plain functions, of which componentize-qjs makes a WebAssembly component. Nothing here knows the
// contract's bindings, so that handlers are tested natively; `component.js` does.

export { Cancelled, CheckpointError, EnqueueError, Fatal, ParentError, Retry, Snooze } from "./errors.js";
export { handler } from "./handler.js";
