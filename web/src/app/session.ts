/** What the sandbox's gateway tells the page. It is no part of the payments API. */

export interface User {
  id: string;
  email: string;
  name: string;
}

export interface Believed {
  hasAccess: boolean;
  subscriptions: { id: string; status: string; version: number }[];
}

export interface SandboxStatus {
  /** By how many milliseconds the sandbox's time is ahead of this machine's. */
  ahead: number;
  stripe: { now: string; url: string; controlPanel: string };
  /** What the users service believes of the signed-in user; null where nobody is signed in. */
  usersView: Believed | null;
}

export async function currentUser(): Promise<User | null> {
  return (await ask<{ user: User | null }>("GET", "/session")).user;
}

export function demoUsers(): Promise<User[]> {
  return ask("GET", "/session/users");
}

/** `user` is the id of one of the demo users, or "new". */
export async function signIn(user: string): Promise<User | null> {
  return (await ask<{ user: User | null }>("POST", "/session", { user })).user;
}

export async function signOut(): Promise<void> {
  await ask("DELETE", "/session");
}

export function sandboxStatus(): Promise<SandboxStatus> {
  return status("GET", "/sandbox/status");
}

/** Lets so many days pass at Stripe. */
export function advanceClock(days: number): Promise<SandboxStatus> {
  return status("POST", "/sandbox/clock", { days });
}

async function status(method: string, path: string, body?: object): Promise<SandboxStatus> {
  const told = await ask<Omit<SandboxStatus, "ahead">>(method, path, body);
  return { ...told, ahead: Date.parse(told.stripe.now) - Date.now() };
}

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await fetch(path, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  if (!answer.ok) {
    throw new Error(`The sandbox answered ${method} ${path} with ${answer.status}.`);
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}
