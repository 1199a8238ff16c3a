import { useCallback, useEffect, useRef, useState } from "react";

import type { Subscription } from "../../../services/paymentsService";
import { usePayments } from "./context";
import { useReportExpiry } from "./failures";
import { canBuy, hasArrived, type Unsettled } from "./offers";
import { useConfirmed } from "./resources";
import type { Returned } from "./returned";
import { useSettle } from "./settle";

/**
 * How far a purchase is that was begun, or after which the buyer was sent back here; `accepted` where
 * Stripe is known to have taken it.
 */
export type Return =
  | { state: "none" }
  | { state: "confirming"; accepted: boolean }
  | { state: "confirmed"; subscription: Subscription }
  | { state: "late"; accepted: boolean }
  | { state: "unfinished" }
  | { state: "failed"; accepted: boolean; error: unknown };

const NONE: Return = { state: "none" };
const UNFINISHED: Return = { state: "unfinished" };

/** What is to be found out. */
type Question = { checkout: string } | { redirect: true } | Unsettled;

interface Found {
  found: Return;
  again: () => void;
  /** Waits for what was bought or changed to, as for a return. */
  waitFor: (unsettled: Unsettled) => void;
  /** There is nothing more to say about it. */
  dismiss: () => void;
}

/**
 * Finds out what became of a purchase. With a Checkout's id the server is asked to take it over;
 * either way a plan counts only once the server says so, however long its webhook takes. Then
 * `onChanged` is told.
 */
export function useReturn(
  returned: Returned,
  onChanged: ((subscription: Subscription) => void) | undefined,
): Found {
  const { service } = usePayments();
  const settle = useSettle();
  const confirmed = useConfirmed();
  const [question, setQuestion] = useState(() => questionOf(returned));
  const [found, setFound] = useState<Return>(() =>
    question !== null
      ? { state: "confirming", accepted: isAccepted(question) }
      : wasGivenUp(returned)
        ? UNFINISHED
        : NONE,
  );
  const [round, setRound] = useState(0);
  useReportExpiry(found.state === "failed" ? found.error : null);
  // What was once known to be taken stays so, whatever is not found out later.
  const accepted = useRef(question !== null && isAccepted(question));
  const changed = useRef(onChanged);
  useEffect(() => {
    changed.current = onChanged;
  });

  useEffect(() => {
    if (question === null) {
      return;
    }
    let current = true;
    const say = (found: Return) => {
      if (current) {
        setFound(found);
        if (found.state === "confirmed") {
          changed.current?.(found.subscription);
        }
      }
    };

    async function look(question: Question): Promise<Return> {
      const begun = performance.now();
      if ("checkout" in question) {
        const synced = await service.syncCheckout(question.checkout);
        if (synced.status !== "complete") {
          return UNFINISHED;
        }
        accepted.current = true;
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
        return { state: "late", accepted: accepted.current };
      }
      await confirmed(subscription);
      return { state: "confirmed", subscription };
    }

    say({ state: "confirming", accepted: accepted.current });
    look(question).then(say, (error: unknown) =>
      say({ state: "failed", accepted: accepted.current, error }),
    );
    return () => {
      current = false;
    };
  }, [question, round, service, settle, confirmed]);

  const again = useCallback(() => setRound((before) => before + 1), []);
  const waitFor = useCallback((unsettled: Unsettled) => {
    accepted.current = unsettled.accepted;
    setFound({ state: "confirming", accepted: unsettled.accepted });
    setQuestion(unsettled);
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

/** Of a Checkout the server has yet to say whether it was paid; a bank's page says so itself. */
function isAccepted(question: Question): boolean {
  return "accepted" in question ? question.accepted : "redirect" in question;
}

function wasGivenUp({ redirectStatus, checkoutCanceled }: Returned): boolean {
  return redirectStatus === "failed" || checkoutCanceled === true;
}
