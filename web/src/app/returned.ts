/** What Stripe has put into the page's address on the way back. */
export interface Returned {
  checkoutSessionId?: string;
  returned?: boolean;
}

/** Takes it out of the address, so that a reload does not bring it back. */
export function takeReturned(): Returned {
  const query = new URLSearchParams(location.search);
  const session = query.get("session_id");
  if (location.search !== "") {
    history.replaceState(null, "", location.pathname);
  }
  return {
    ...(session === null ? {} : { checkoutSessionId: session }),
    ...(query.has("redirect_status") ? { returned: true } : {}),
  };
}
