import { type FormEvent, useEffect, useState } from "react";
import { Problem, type Session, signIn } from "./api";

/** A token is renewed this long before it ends. */
const RENEW_BEFORE_MS = 60_000;
/** A browser's timer takes no more than 31 bits; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** SignIn shows who is signed in and lets somebody else in: by name where the development login is on, else by token. */
export function SignIn({ session, onSession }: { session: Session | undefined; onSession(session: Session): void }) {
  const [customer, setCustomer] = useState("demo");
  const [operator, setOperator] = useState(false);
  const [problem, setProblem] = useState("");
  const [byToken, setByToken] = useState(false);

  const enter = (name: string, asOperator: boolean) =>
    signIn(name, asOperator).then(
      (next) => { setProblem(""); onSession(next); },
      (error: Problem) => (error.status === 404 ? setByToken(true) : setProblem(error.message)),
    );

  useEffect(() => void enter("demo", false), []);

  useEffect(() => {
    if (!session || byToken) return;
    const left = session.expiresAt - Date.now() - RENEW_BEFORE_MS;
    const timer = setTimeout(() => void enter(session.customer, session.operator), Math.min(Math.max(left, 1_000), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  }, [session, byToken]);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (!byToken) return void enter(customer.trim(), operator);
    const token = String(new FormData(event.currentTarget).get("token")).trim();
    onSession({ customer: "", operator: false, token, expiresAt: Infinity });
  };

  return (
    <header className="top">
      <h1>Orderwire</h1>
      <form onSubmit={submit} aria-label="Sign in">
        {byToken ? (
          <label>Token <input name="token" type="password" required autoComplete="off" /></label>
        ) : (
          <>
            <label>Customer <input value={customer} onChange={(e) => setCustomer(e.target.value)} required maxLength={128} size={10} /></label>
            <label className="check"><input type="checkbox" checked={operator} onChange={(e) => setOperator(e.target.checked)} /> operator</label>
          </>
        )}
        <button>Sign in</button>
        {session?.customer && <span className="who">signed in as <b>{session.customer}</b>{session.operator && ", operator"}</span>}
        {problem && <span role="alert" className="problem">{problem}</span>}
      </form>
    </header>
  );
}
