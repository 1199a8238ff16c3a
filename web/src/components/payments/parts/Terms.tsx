import { usePayments } from "./context";
import { useFormat } from "./format";
import type { Offer } from "./offers";

const DAY = 24 * 60 * 60 * 1000;

interface TermsProps {
  offer: Offer;
  trialDays: number;
}

/** What the buyer agrees to, in plain words. */
export function Terms({ offer, trialDays }: TermsProps) {
  const { now } = usePayments();
  const { price, date, number } = useFormat();
  const every = `${price(offer.amount, offer.currency)} ${perInterval(offer.interval)}`;
  if (trialDays === 0) {
    return (
      <>
        You pay {every}, starting today. It renews by itself until you cancel, which you can do at
        any time with effect from the end of the period you have paid for.
      </>
    );
  }
  const end = new Date(now() + trialDays * DAY);
  return (
    <>
      Free for {number(trialDays)} days. We save your card, but take nothing today. The first{" "}
      {price(offer.amount, offer.currency)} is due on <strong>{date(end)}</strong>, then {every}{" "}
      until you cancel. Cancel before that day and you pay nothing.
    </>
  );
}

/** "a month", "a year". */
export function perInterval(interval: string): string {
  return interval === "month" || interval === "year" ? `a ${interval}` : `per ${interval}`;
}
