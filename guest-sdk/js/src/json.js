// JSON as it travels between handler and host.

/** A value as JSON text. */
export function written(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is not JSON`);
  return text;
}
