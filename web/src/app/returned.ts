import { type Returned, returnedFrom } from "../index";

/** Takes what a return has put into the address out of it, so that a reload does not repeat it. */
export function takeReturned(): Returned {
  const returned = returnedFrom(location.search);
  if (location.search !== "") {
    history.replaceState(null, "", location.pathname);
  }
  return returned;
}
