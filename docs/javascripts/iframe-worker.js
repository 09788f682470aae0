// Browsers refuse web workers to pages opened from the disk: there, the search of the site runs in a hidden frame.
// Its script finds `IFrameWorker` in the parent and its own address in the frame's first script.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inner = frame.contentWindow;
      this.post = (data) => inner.dispatchEvent(new MessageEvent("message", { data }));
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inner.importScripts = (...urls) => urls.reduce((before, next) => before.then(() => run(frame, next)), Promise.resolve());
      this.ready = run(frame, url);
    }

    postMessage(data) {
      this.ready.then(() => this.post(data));
    }
  };

  const run = (frame, url) =>
    new Promise((resolve, reject) => {
      const script = frame.contentDocument.createElement("script");
      Object.assign(script, { src: url, onload: resolve, onerror: reject });
      frame.contentDocument.body.append(script);
    });
}
