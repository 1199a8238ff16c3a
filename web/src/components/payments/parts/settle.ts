import { useCallback, useEffect, useRef } from "react";

import { SessionExpiredError } from "../../../services/errors";
import type { Subscription } from "../../../services/paymentsService";
import { usePayments } from "./context";

/** Milliseconds for everything: webhooks take moments, seldom longer than half a minute. */
const PATIENCE = 30_000;
/** Milliseconds between looks; the last one from then on. */
const PAUSES = [500, 1000, 1000, 2000, 2000, 3000, 4000, 5000];

/**
 * Waits until the server itself says what is waited for: what a browser was told by Stripe counts
 * only once it has arrived there. Resolves to null where that takes half a minute since `begun`
 * (of `performance.now`; now if not given), or when the component is gone; rejects where the last
 * look that came to an end failed, and at once where the session has ended.
 */
export function useSettle(): (
  arrived: (subscription: Subscription) => boolean,
  begun?: number,
) => Promise<Subscription | null> {
  const { service } = usePayments();
  const gone = useRef(new AbortController());
  useEffect(() => {
    const controller = new AbortController();
    gone.current = controller;
    return () => controller.abort();
  }, []);

  return useCallback(
    async (arrived, begun = performance.now()) => {
      const limit = new AbortController();
      const stop = () => limit.abort();
      const timer = setTimeout(stop, begun + PATIENCE - performance.now());
      const left = gone.current.signal;
      left.addEventListener("abort", stop);
      const over = () => limit.signal.aborted || left.aborted;
      let failure: Error | null = null;
      try {
        for (let look = 0; !over(); look += 1) {
          try {
            const subscription = await service.lookAtSubscription(limit.signal);
            failure = null;
            if (arrived(subscription)) {
              return subscription;
            }
          } catch (error) {
            if (error instanceof SessionExpiredError) {
              throw error;
            }
            // A look that was cut short by our own limit says nothing of the connection.
            if (!over()) {
              failure = error instanceof Error ? error : new Error(String(error));
            }
          }
          await sleep(PAUSES[Math.min(look, PAUSES.length - 1)] ?? 0, limit.signal);
        }
      } finally {
        clearTimeout(timer);
        left.removeEventListener("abort", stop);
      }
      if (failure !== null && !left.aborted) {
        throw failure;
      }
      return null;
    },
    [service],
  );
}

/** So many milliseconds, or until the signal. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, signal.aborted ? 0 : milliseconds);
    signal.addEventListener("abort", done);
  });
}
