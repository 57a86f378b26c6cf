// Markdown to HTML: sync handlers in JavaScript. They are plain functions: `handlers.test.js` calls them without a host.

import { Marked } from "marked";
import { Fatal, handler, Retry } from "windlass-guest";

const MARKDOWN = {
  type: "object",
  properties: {
    markdown: { type: "string" },
    title: { type: "string" },
    remember: { type: "boolean", description: "Whether a follow-up job keeps the headings, and another one counts them." },
  },
  required: ["markdown"],
};

const TITLES = { type: "array", items: { type: "string" } };

export const render = handler(
  {
    name: "render",
    summary: "Makes HTML of Markdown, and tells its headings.",
    queue: "pages",
    maxAttempts: 3,
    timeout: 60,
    cancelGrace: 1,
    memoryBytes: 32 << 20,
    fuel: 20_000_000_000,
    payload: MARKDOWN,
    result: { type: "object", properties: { html: { type: "string" }, headings: TITLES } },
  },
  ({ markdown, title, remember = false }, ctx) => {
    if (title === "") throw new Fatal("empty-title", "title: expected some text, or none at all");
    const marked = new Marked({ gfm: true });
    const parts = marked.lexer(markdown);
    const headings = [];
    let html = title === undefined ? "" : `<h1>${escaped(title)}</h1>\n`;
    parts.forEach((part, number) => {
      if (number % 50 === 0) {
        ctx.checkCancelled();
        ctx.progress((100 * number) / parts.length, `${number} parts`);
      }
      if (part.type === "heading") headings.push(part.text);
      html += marked.parser([part]);
    });
    ctx.info("rendered", { parts: parts.length, headings: headings.length });
    if (remember) {
      ctx.enqueue("remember", headings, { tags: ["remembered"] });
      ctx.enqueue("count", null, { tags: ["counted"], after: [ctx.id], unique: { key: ctx.id }, limitKey: "counts", at: new Date(0) });
    }
    return { html, headings };
  },
);

export const remember = handler(
  { name: "remember", summary: "Keeps headings as a checkpoint, and fails once on the way.", maxAttempts: 5, payload: TITLES },
  (headings, ctx) => {
    const kept = ctx.checkpoint("headings");
    if (kept === undefined) {
      ctx.putCheckpoint("headings", headings);
      throw new Retry("not-yet", "kept, and to be looked at again", { after: 0.01, details: { headings: headings.length } });
    }
    ctx.info(`attempt ${ctx.attempt} finds ${kept.length} headings`);
    return kept;
  },
);

export const count = handler(
  { name: "count", summary: "Counts the headings of the pages that it continues." },
  (_, ctx) => ctx.parents.reduce((sum, id) => sum + ctx.parent(id).result.headings.length, 0),
);

export const broken = handler(
  { name: "broken", summary: "Throws an exception of JavaScript's own.", maxAttempts: 1 },
  (payload) => payload.there.is.nothing,
);

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
