/** What both examples need of HTTP, in the absence of a framework. */
export { readBody } from './body.ts';
export { badRequest, Problem, type ProblemCode, problemOf } from './problem.ts';
export { type Exchange, type Handler, type Route, router, sendBytes, sendJson } from './router.ts';
export { type HttpAddress, type HttpServer, listen } from './server.ts';
export { type SseEvent, type SseOptions, sendEvents } from './sse.ts';
