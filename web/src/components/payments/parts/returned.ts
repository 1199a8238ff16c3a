/** What the address says of a buyer who comes back from a page of Stripe's or of a bank. */
export interface Returned {
  /** The buyer is back from this Checkout. */
  checkoutSessionId?: string | undefined;
  /** The buyer has left a Checkout without paying. */
  checkoutCanceled?: boolean | undefined;
  /** The buyer is back from a page of their bank: what Stripe says of it, such as "failed". */
  redirectStatus?: string | undefined;
}

/** Reads it from the query of an address, such as `location.search`. */
export function returnedFrom(query: string): Returned {
  const said = new URLSearchParams(query);
  return {
    checkoutSessionId: said.get("session_id") ?? undefined,
    checkoutCanceled: said.get("checkout") === "canceled",
    redirectStatus: said.get("redirect_status") ?? undefined,
  };
}
