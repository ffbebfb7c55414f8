// Search in pages that were opened from disk. Browsers start no worker from there, so its script runs in a frame of the
// page, and messages go both ways as events.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const scope = frame.contentWindow
      scope.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      scope.importScripts = (...urls) => Promise.all(urls.map(address => this.load(scope, address)))
      this.load(scope, url).then(() => {
        this.scope = scope
        this.waiting.forEach(data => this.postMessage(data))
      })
    }

    load(scope, url) {
      return new Promise(done => {
        const script = scope.document.createElement("script")
        script.onload = done
        script.src = new URL(url, location.href)
        scope.document.body.append(script)
      })
    }

    postMessage(data) {
      if (this.scope) this.scope.dispatchEvent(new MessageEvent("message", { data }))
      else this.waiting.push(data)
    }

    terminate() {}
  }
}
