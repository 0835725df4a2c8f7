// The newest of everything: asked for when the last is drawn, so a viewer that stalls holds one answer and no more.

const AGAIN_MS = 1000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const drawn = () => new Promise((done) => requestAnimationFrame(done)); // never while nobody looks at the page

/** Hand on what is new, for ever; `way_ms` is half of what the question and the answer took. */
export async function follow(took, troubled) {
  let version = 0;
  for (;;) {
    const asked = performance.now();
    try {
      const answer = await fetch(`next?after=${version}`, { cache: "no-store" });
      if (answer.status === 403) return troubled("edgepose view was started anew: take the address that it printed");
      const news = await answer.json();
      version = news.version;
      took(news, Math.max(0, (performance.now() - asked - news.waited_ms) / 2));
      troubled("");
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof SyntaxError)) console.error(error);
      troubled("edgepose view does not answer; it is asked again");
      await pause(AGAIN_MS);
    }
    await drawn();
  }
}
