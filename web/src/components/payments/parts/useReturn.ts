import { useCallback, useEffect, useState } from "react";

import type { Subscription } from "../../../services/paymentsService";
import { usePayments } from "./context";
import { useReportExpiry } from "./failures";
import { canBuy } from "./offers";
import { useConfirmed } from "./resources";
import { useSettle } from "./settle";

/** How far a purchase is after whose payment the buyer was sent back here. */
export type Return =
  | { state: "none" }
  | { state: "confirming" }
  | { state: "confirmed"; subscription: Subscription }
  | { state: "late" }
  | { state: "unfinished" }
  | { state: "failed"; error: unknown };

const NONE: Return = { state: "none" };
const CONFIRMING: Return = { state: "confirming" };

/**
 * Finds out what became of a purchase. With a Checkout's id the server is asked to take it over;
 * either way a plan counts only once the server says so, however long its webhook takes.
 */
export function useReturn(
  checkoutSessionId: string | undefined,
  returned: boolean,
): { found: Return; again: () => void } {
  const { service } = usePayments();
  const settle = useSettle();
  const confirmed = useConfirmed();
  const expected = checkoutSessionId !== undefined || returned;
  const [found, setFound] = useState<Return>(expected ? CONFIRMING : NONE);
  const [round, setRound] = useState(0);
  useReportExpiry(found.state === "failed" ? found.error : null);

  useEffect(() => {
    if (!expected) {
      return;
    }
    let current = true;
    const say = (found: Return) => {
      if (current) {
        setFound(found);
      }
    };

    async function look(): Promise<Return> {
      if (checkoutSessionId !== undefined) {
        const synced = await service.syncCheckout(checkoutSessionId);
        if (synced.status !== "complete") {
          return { state: "unfinished" };
        }
        if (synced.settled && !canBuy(synced.subscription)) {
          await confirmed(synced.subscription);
          return { state: "confirmed", subscription: synced.subscription };
        }
      }
      const subscription = await settle((seen) => !canBuy(seen));
      if (subscription === null) {
        return { state: "late" };
      }
      await confirmed(subscription);
      return { state: "confirmed", subscription };
    }

    say(CONFIRMING);
    look().then(say, (error: unknown) => say({ state: "failed", error }));
    return () => {
      current = false;
    };
  }, [expected, checkoutSessionId, round, service, settle, confirmed]);

  const again = useCallback(() => setRound((before) => before + 1), []);
  return { found: expected ? found : NONE, again };
}
