import { ConnectionError } from "./errors";

const KEY = "Idempotency-Key";
/** Answers that pass: nothing was done, and the same request may be welcome in a moment. */
const PASSING = new Set([429, 502, 503, 504]);
/** Milliseconds before the second attempt; each further one waits twice as long. */
const FIRST_PAUSE = 400;
/** Seconds. Who is told to wait longer should be told so instead of waiting. */
const LONGEST_PAUSE = 5;

/** How long somebody is to be kept waiting for an answer. */
export interface Patience {
  /** Further attempts after the first one. */
  attempts: number;
  /** Milliseconds for all attempts together. */
  limit: number;
}

/** Three attempts cover a restart behind a load balancer; the service itself gives up after 20 s. */
export const PATIENT: Patience = { attempts: 3, limit: 30_000 };
/** For who looks again anyway. */
export const IMPATIENT: Patience = { attempts: 0, limit: 5_000 };

/**
 * A fetch that tries again where that cannot do harm: what only reads, and what carries an
 * idempotency key, which makes the service do it once however often it is asked.
 *
 * Rejects with ConnectionError where no answer came within the limit.
 */
export function retrying(
  fetch: (request: Request) => Promise<Response>,
  { attempts, limit }: Patience,
  pause: (milliseconds: number) => Promise<void> = sleep,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const repeatable = request.method === "GET" || request.headers.has(KEY);
    const until = performance.now() + limit;
    for (let attempt = 0; ; attempt += 1) {
      const left = () => until - performance.now();
      const mayRepeat = (wait: number) => repeatable && attempt < attempts && wait < left();
      const backoff = FIRST_PAUSE * 2 ** attempt * (0.75 + Math.random() / 2);
      try {
        const response = await fetch(limited(request, left()));
        const wait = await pauseBefore(response, backoff);
        if (wait === null || !mayRepeat(wait)) {
          return response;
        }
        await pause(wait);
      } catch (error) {
        if (request.signal.aborted) {
          throw error;
        }
        // Without a network there is nothing to wait for: the page says so instead.
        if (!mayRepeat(backoff) || !navigator.onLine) {
          throw new ConnectionError("the payments service cannot be reached", {
            cause: error,
          });
        }
        await pause(backoff);
      }
    }
  };
}

/** A copy of a request that is given up after so many milliseconds, its answer's body included. */
function limited(request: Request, milliseconds: number): Request {
  // AbortSignal.any would do this, but is too young for some browsers in use.
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  setTimeout(giveUp, milliseconds);
  request.signal.addEventListener("abort", giveUp, { once: true });
  return new Request(request.clone(), { signal: limit.signal });
}

/** Milliseconds to wait before asking again, or null where this answer is final. */
async function pauseBefore(response: Response, backoff: number): Promise<number | null> {
  if (!PASSING.has(response.status) && !(await isUnderWay(response))) {
    return null;
  }
  // It may also be a date, from a proxy: then our own pause has to do.
  const told = Number(response.headers.get("Retry-After") ?? 0);
  const seconds = Number.isFinite(told) ? told : 0;
  return seconds > LONGEST_PAUSE ? null : Math.max(seconds * 1000, backoff);
}

/** Whether an earlier attempt with the same key is still being worked on. */
async function isUnderWay(response: Response): Promise<boolean> {
  if (response.status !== 409) {
    return false;
  }
  const text = await response.clone().text();
  return text.includes("urn:payments:problem:request-under-way");
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
