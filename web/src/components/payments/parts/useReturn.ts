import { useCallback, useEffect, useState } from "react";

import type { Subscription } from "../../../services/paymentsService";
import { usePayments } from "./context";
import { useReportExpiry } from "./failures";
import { canBuy, hasArrived, type Offer } from "./offers";
import { useConfirmed } from "./resources";
import type { Returned } from "./returned";
import { useSettle } from "./settle";

/** How far a purchase is that Stripe has taken, or after which the buyer was sent back here. */
export type Return =
  | { state: "none" }
  | { state: "confirming" }
  | { state: "confirmed"; subscription: Subscription }
  | { state: "late" }
  | { state: "unfinished" }
  | { state: "failed"; error: unknown };

const NONE: Return = { state: "none" };
const CONFIRMING: Return = { state: "confirming" };
const UNFINISHED: Return = { state: "unfinished" };

/** What is to be found out. */
type Question = { checkout: string } | { redirect: true } | { offer: Offer };

interface Found {
  found: Return;
  again: () => void;
  /** Waits for an offer that was paid for or changed to, as for a return. */
  waitFor: (offer: Offer) => void;
  /** There is nothing more to say about it. */
  dismiss: () => void;
}

/**
 * Finds out what became of a purchase. With a Checkout's id the server is asked to take it over;
 * either way a plan counts only once the server says so, however long its webhook takes.
 */
export function useReturn(returned: Returned): Found {
  const { service } = usePayments();
  const settle = useSettle();
  const confirmed = useConfirmed();
  const [question, setQuestion] = useState(() => questionOf(returned));
  const [found, setFound] = useState<Return>(() =>
    question !== null ? CONFIRMING : wasGivenUp(returned) ? UNFINISHED : NONE,
  );
  const [round, setRound] = useState(0);
  useReportExpiry(found.state === "failed" ? found.error : null);

  useEffect(() => {
    if (question === null) {
      return;
    }
    let current = true;
    const say = (found: Return) => {
      if (current) {
        setFound(found);
      }
    };

    async function look(question: Question): Promise<Return> {
      const begun = performance.now();
      if ("checkout" in question) {
        const synced = await service.syncCheckout(question.checkout);
        if (synced.status !== "complete") {
          return UNFINISHED;
        }
        if (synced.settled && !canBuy(synced.subscription)) {
          await confirmed(synced.subscription);
          return { state: "confirmed", subscription: synced.subscription };
        }
      }
      const subscription = await settle(
        "offer" in question ? hasArrived(question.offer) : (seen) => !canBuy(seen),
        begun,
      );
      if (subscription === null) {
        return { state: "late" };
      }
      await confirmed(subscription);
      return { state: "confirmed", subscription };
    }

    say(CONFIRMING);
    look(question).then(say, (error: unknown) => say({ state: "failed", error }));
    return () => {
      current = false;
    };
  }, [question, round, service, settle, confirmed]);

  const again = useCallback(() => setRound((before) => before + 1), []);
  const waitFor = useCallback((offer: Offer) => {
    setFound(CONFIRMING);
    setQuestion({ offer });
  }, []);
  const dismiss = useCallback(() => {
    setFound(NONE);
    setQuestion(null);
  }, []);
  return { found, again, waitFor, dismiss };
}

function questionOf(returned: Returned): Question | null {
  if (returned.checkoutSessionId !== undefined) {
    return { checkout: returned.checkoutSessionId };
  }
  // Stripe: redirect_status is succeeded, pending or failed.
  return returned.redirectStatus === undefined || returned.redirectStatus === "failed"
    ? null
    : { redirect: true };
}

function wasGivenUp({ redirectStatus, checkoutCanceled }: Returned): boolean {
  return redirectStatus === "failed" || checkoutCanceled === true;
}
