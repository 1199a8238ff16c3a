import type { PaymentMethod, StripeError } from "@stripe/stripe-js";

import {
  CardDeclinedError,
  ConnectionError,
  ProblemError,
  SessionExpiredError,
  UnexpectedAnswerError,
} from "../../../services/errors";

/** What went wrong and what to do about it, in words for the person who pays. */
export interface Explanation {
  title: string;
  advice: string;
  /** What a button beside it may offer. */
  remedy?: "retry" | "update-card" | "preview" | "reload" | "sign-in";
}

/** Puts an error of the service into words. */
export function explain(error: unknown): Explanation {
  if (error instanceof ConnectionError) {
    return navigator.onLine
      ? {
          title: "We can’t reach the server",
          advice: "Check your connection and try again. Trying again never charges you twice.",
          remedy: "retry",
        }
      : {
          title: "You’re offline",
          advice: "Nothing is lost. Reconnect to the internet, then try again.",
          remedy: "retry",
        };
  }
  if (error instanceof SessionExpiredError) {
    return {
      title: "Your session has ended",
      // An earlier attempt, or Stripe itself, may have changed something.
      advice: "Sign in again to go on.",
      remedy: "sign-in",
    };
  }
  if (error instanceof CardDeclinedError) {
    return { ...declined(error.declineCode ?? error.code, null), remedy: "update-card" };
  }
  if (error instanceof ProblemError) {
    return problem(error);
  }
  if (error instanceof UnexpectedAnswerError && error.status >= 500) {
    return INTERRUPTION;
  }
  return {
    title: "Something went wrong",
    advice: "Please try again. If it keeps happening, contact support.",
    remedy: "retry",
  };
}

const INTERRUPTION: Explanation = {
  title: "We’re having a short interruption",
  advice: "Please try again in a minute. Trying again never charges you twice.",
  remedy: "retry",
};

function problem(error: ProblemError): Explanation {
  switch (error.problem) {
    case "payment-provider-unavailable":
      return {
        title: "The payment provider can’t be reached",
        advice: "This is usually over within a minute. Please try again then.",
        remedy: "retry",
      };
    case "identity-provider-unavailable":
    case "try-again":
      return INTERRUPTION;
    case "outcome-unknown":
    case "took-too-long":
      return {
        title: "We don’t know yet whether that worked",
        advice:
          "The payment provider did not answer in time. Look at the present state first. Trying again never charges you twice.",
        remedy: "reload",
      };
    case "payment-processing":
      return {
        title: "Your bank is still processing a payment",
        advice: "Wait until it has decided, usually within a minute, then try again.",
        remedy: "retry",
      };
    case "insufficient-scope":
      return {
        title: "Your sign-in doesn’t allow this",
        advice: "Sign out and in again, then repeat it. Nothing was changed.",
      };
    case "too-many-requests":
      return {
        title: "That was a little too fast",
        advice: "Wait a minute, then try again.",
        remedy: "retry",
      };
    case "already-subscribed":
      return {
        title: "You already have a subscription",
        advice: "Close this window to see it: you can change its plan there.",
        remedy: "reload",
      };
    case "preview-outdated":
      return {
        title: "The amount has to be worked out again",
        advice: "Some time has passed since it was shown. Check the new amount, then confirm it.",
        remedy: "preview",
      };
    case "card-needed":
      return {
        title: "There is no card to pay with",
        advice: "Add one in the billing portal, then change the plan.",
        remedy: "update-card",
      };
    case "request-under-way":
      return {
        title: "We’re still working on your last request",
        advice: "Give it a few seconds, then try again. Trying again never does it twice.",
        remedy: "retry",
      };
    case "provider-refused":
      return {
        title: "The payment provider did not accept this",
        advice:
          "Look at the present state, then try again. If it keeps happening, contact support.",
        remedy: "reload",
      };
    case "idempotency-key-reused":
      return {
        title: "This page has lost track of what you asked for",
        advice: "Load it again and look at the present state, then repeat what you wanted to do.",
        remedy: "reload",
      };
    case "redirect-not-allowed":
      return {
        title: "This page can’t be come back to",
        advice: "So we don’t send you away from it. Contact support: it has to be set up.",
      };
    case "no-customer":
      return {
        title: "There is no billing account yet",
        advice: "It is made with your first purchase. Choose a plan to begin.",
        remedy: "reload",
      };
    case "plan-unchanged":
    case "already-canceled":
    case "nothing-to-resume":
    case "no-active-subscription":
    case "plan-not-changeable":
    case "subscription-not-found":
    case "changed-meanwhile":
    case "change-under-way":
    case "purchase-under-way":
      return {
        title: "Your subscription has changed in the meantime",
        advice: "Perhaps in another window. Look at its present state, then decide again.",
        remedy: "reload",
      };
    case "price-not-offered":
      return {
        title: "This price is no longer offered",
        advice: "Load the page again to see the current plans.",
        remedy: "reload",
      };
    case "email-needed":
      return {
        title: "Your account has no email address",
        advice: "Add one to your profile: receipts are sent there. Then come back.",
      };
    case "checkout-not-found":
      return {
        title: "We can’t find this purchase",
        advice: "It may belong to another account. Sign in with the account you bought with.",
      };
    default:
      return {
        title: "Something went wrong",
        advice:
          error.traceId === null
            ? "Please try again. If it keeps happening, contact support."
            : `Please try again. If it keeps happening, contact support and mention ${error.traceId}.`,
        remedy: "retry",
      };
  }
}

/**
 * Whether an error of Stripe.js leaves open what became of the payment: then only the server knows.
 */
export function isUndecided({ type, code }: StripeError): boolean {
  return (
    type === "api_connection_error" ||
    type === "api_error" ||
    // What was to be confirmed is no longer to be: perhaps since it has been paid.
    code?.endsWith("unexpected_state") === true
  );
}

/** Whether the bank has said no, or its question was not answered: then nothing was paid. */
export function isDeclined({ type, code }: StripeError): boolean {
  return type === "card_error" || code?.endsWith("authentication_failure") === true;
}

/**
 * Puts an error of Stripe.js into words: which card it was, and what to do now. Only of what a bank
 * has declined, or what was never sent, it says that nothing was charged.
 */
export function explainStripe(error: StripeError): Explanation {
  if (isDeclined(error)) {
    return declined(error.decline_code ?? error.code ?? null, cardOf(error));
  }
  if (error.type === "validation_error") {
    return {
      title: "Please check your card details",
      advice: error.message ?? "Some of them are missing or wrong.",
    };
  }
  return {
    title: "The payment could not be completed",
    advice: "Please try again, or use another card. Trying again never charges you twice.",
  };
}

// A card that was reported lost or stolen reads as one declined for no reason: whoever holds it may
// not be its owner. (Stripe: Decline codes)
const ADVICE: Record<string, string> = {
  insufficient_funds:
    "The bank says that there isn’t enough money on it. Use another card, or try again after topping it up.",
  expired_card: "It has expired. Check the date, or use another card.",
  incorrect_cvc: "The security code is not right. Check it and try again.",
  incorrect_number: "The card number is not right. Check it and try again.",
  processing_error: "The bank had a problem. Wait a minute, then try again.",
  payment_intent_authentication_failure:
    "Your bank could not confirm that it is you. Try again, or use another card.",
  setup_intent_authentication_failure:
    "Your bank could not confirm that it is you. Try again, or use another card.",
};

function declined(code: string | null, card: string | null): Explanation {
  return {
    title: card === null ? "Your card was declined" : `Your ${card} was declined`,
    advice: `${
      ADVICE[code ?? ""] ??
      "The bank gave no reason. Use another card, or call the bank: the number is on the back of the card."
    } You have not been charged.`,
  };
}

const BRANDS: Record<string, string> = {
  amex: "American Express card",
  diners: "Diners Club card",
  discover: "Discover card",
  jcb: "JCB card",
  mastercard: "Mastercard",
  unionpay: "UnionPay card",
  visa: "Visa card",
};

function cardOf(error: StripeError): string | null {
  const held: (PaymentMethod | string | null | undefined)[] = [
    error.payment_method,
    error.payment_intent?.payment_method,
    error.setup_intent?.payment_method,
    error.payment_intent?.last_payment_error?.payment_method,
    error.setup_intent?.last_setup_error?.payment_method,
  ];
  for (const method of held) {
    if (typeof method === "object" && method?.card != null) {
      return `${BRANDS[method.card.brand] ?? "card"} ending in ${method.card.last4}`;
    }
  }
  return null;
}
