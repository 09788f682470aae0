// The site's search runs in a web worker, which browsers refuse to pages read from the disk: a hidden frame stands in.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(source) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.ready = new Promise((resolve) => {
        frame.addEventListener("load", () => resolve(this.start(frame.contentWindow, source)), { once: true });
      });
      document.body.append(frame);
    }

    // run the script with what it takes from a worker's scope
    start(scope, source) {
      scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = scope.document.createElement("script");
      script.src = source;
      const loaded = new Promise((resolve) => script.addEventListener("load", () => resolve(scope)));
      scope.document.body.append(script);
      return loaded;
    }

    postMessage(data) {
      this.ready.then((scope) => scope.dispatchEvent(new scope.MessageEvent("message", { data })));
    }
  };
}
