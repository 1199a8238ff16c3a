import { ConnectionError } from "./errors";

const KEY = "Idempotency-Key";
/** Answers that pass: nothing was done, and the same request may be welcome in a moment. */
const PASSING = new Set([429, 502, 503, 504]);
/** Further attempts after the first one. Three cover a restart behind a load balancer. */
const ATTEMPTS = 3;
/** Milliseconds before the second attempt; each further one waits twice as long. */
const FIRST_PAUSE = 400;
/** Seconds. Who is told to wait longer should be told so instead of waiting. */
const LONGEST_PAUSE = 5;
/** Milliseconds. The service itself gives up on the payment provider earlier. */
const TIMEOUT = 30_000;

/**
 * A fetch that tries again where that cannot do harm: what only reads, and what carries an
 * idempotency key, which makes the service do it once however often it is asked.
 *
 * Rejects with ConnectionError where no answer came.
 */
export function retrying(
  fetch: (request: Request) => Promise<Response>,
  pause: (milliseconds: number) => Promise<void> = sleep,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const repeatable = request.method === "GET" || request.headers.has(KEY);
    for (let attempt = 0; ; attempt += 1) {
      const mayRepeat = repeatable && attempt < ATTEMPTS;
      const backoff = FIRST_PAUSE * 2 ** attempt * (0.75 + Math.random() / 2);
      try {
        const response = await fetch(
          new Request(request.clone(), {
            signal: AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT)]),
          }),
        );
        const wait = mayRepeat ? await pauseBefore(response, backoff) : null;
        if (wait === null) {
          return response;
        }
        await pause(wait);
      } catch (error) {
        if (request.signal.aborted) {
          throw error;
        }
        // Without a network there is nothing to wait for: the page says so instead.
        if (!mayRepeat || !navigator.onLine) {
          throw new ConnectionError("the payments service cannot be reached", {
            cause: error,
          });
        }
        await pause(backoff);
      }
    }
  };
}

/** Milliseconds to wait before asking again, or null where this answer is final. */
async function pauseBefore(response: Response, backoff: number): Promise<number | null> {
  if (!PASSING.has(response.status) && !(await isUnderWay(response))) {
    return null;
  }
  const told = Number(response.headers.get("Retry-After") ?? 0);
  return told > LONGEST_PAUSE ? null : Math.max(told * 1000, backoff);
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
