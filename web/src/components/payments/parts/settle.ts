import { useCallback, useEffect, useRef } from "react";

import type { Subscription } from "../../../services/paymentsService";
import { usePayments } from "./context";

/** Milliseconds between looks: webhooks take moments, seldom longer than half a minute. */
const PAUSES = [0, 500, 1000, 1000, 2000, 2000, 3000, 4000, 5000, 6000, 8000];

/**
 * Waits until the server itself says what is waited for: what a browser was told by Stripe counts
 * only once it has arrived there. Resolves to null where that takes too long, or when the
 * component is gone.
 */
export function useSettle(): (
  arrived: (subscription: Subscription) => boolean,
) => Promise<Subscription | null> {
  const { service } = usePayments();
  const gone = useRef(new AbortController());
  useEffect(() => {
    const controller = new AbortController();
    gone.current = controller;
    return () => controller.abort();
  }, []);

  return useCallback(
    async (arrived) => {
      const { signal } = gone.current;
      let failure: Error | null = null;
      for (const pause of PAUSES) {
        await sleep(pause, signal);
        if (signal.aborted) {
          return null;
        }
        try {
          const subscription = await service.getSubscription();
          failure = null;
          if (arrived(subscription)) {
            return subscription;
          }
        } catch (error) {
          failure = error instanceof Error ? error : new Error(String(error));
        }
      }
      if (failure !== null) {
        throw failure;
      }
      return null;
    },
    [service],
  );
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
  });
}
