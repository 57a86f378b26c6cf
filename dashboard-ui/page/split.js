// Fetches what only some pages need, when one of them is first shown: one file for each, of parts that several may have.
import { initSync } from "./dashboard.js";

// The parts that are there, by number. None is made twice: that would put its data back to how they were at first.
const parts = new Map();

const make = (number, code) => {
  if (!parts.has(number)) {
    const part = WebAssembly.instantiate(code, { __wasm_split: initSync() });
    // What failed may be tried again.
    part.catch(() => parts.delete(number));
    parts.set(number, part);
  }
  return parts.get(number);
};

// Before each part stand its number and its length.
const read = async (file) => {
  const answer = await fetch(new URL(file, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status}`);
  const bytes = await answer.arrayBuffer(), view = new DataView(bytes), made = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const number = view.getUint32(at, true), length = view.getUint32(at + 4, true);
    made.push(make(number, new Uint8Array(bytes, at + 8, length)));
    at += 8 + length;
  }
  await Promise.all(made);
};

// What the module calls; it is told with a function of its own when the pages are there, or that they are not.
const load = (file) => async (told, data) => {
  let is_there = true;
  try {
    await read(file);
  } catch (error) {
    console.error(error);
    is_there = false;
  }
  initSync().__indirect_function_table.get(told)(data, is_there);
};
