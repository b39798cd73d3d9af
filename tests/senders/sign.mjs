// Requests that the senders' own libraries have signed just now, as one JSON document: for each
// sender the parameters of its instance, and its requests in the order in which they must be sent.
// A request's `expect` is "created", "refused" (credentials), or "duplicate" (of the last created).

import { createHmac } from "node:crypto";

import { sign as signForGithub } from "@octokit/webhooks-methods";
import { isValidSlackRequest } from "@slack/bolt/dist/receivers/verify-request.js";
import { CloudEvent, HTTP } from "cloudevents";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import twilio from "twilio/lib/webhooks/webhooks.js";

const now = Math.floor(Date.now() / 1000);
const TOO_OLD = now - 400; // every one of these senders allows 300 s
const JSON_TYPE = { "Content-Type": "application/json" };
const FORM_TYPE = { "Content-Type": "application/x-www-form-urlencoded" };

function request(what, expect, body, headers, incidents = [], query = "") {
  return { what, expect, body, headers, incidents, query };
}

// `sign(secret, time, id)` gives the headers. The body is short, so that each of its bytes can be
// changed in turn.
function timed(name, secret, wrongSecret, body, incident, sign) {
  const right = sign(secret, now, "msg_1");
  return {
    name,
    parameters: { source: name, signing_secrets: secret },
    requests: [
      request("wrong secret", "refused", body, sign(wrongSecret, now, "msg_1")),
      request("old", "refused", body, sign(secret, TOO_OLD, "msg_1")),
      request("from the future", "refused", body, sign(secret, now + 400, "msg_1")),
      request("right", "created", body, right, [incident]),
      request("replayed", "duplicate", body, right, [incident]),
      request("signed anew", "duplicate", body, sign(secret, now - 5, "msg_1"), [incident]),
    ],
  };
}

async function github() {
  const secret = "It's a Secret to Everybody";
  const body = '{"action":"opened","repository":{"full_name":"octo/hello"}}';
  const headers = async (delivery, signedWith) => ({
    ...JSON_TYPE,
    "X-GitHub-Event": "issues",
    "X-GitHub-Delivery": delivery,
    "X-Hub-Signature-256": await signForGithub(signedWith, body),
  });
  const incident = { name: "GitHub issues opened: octo/hello", type: "GitHub issues" };
  return {
    name: "github",
    parameters: { source: "github", signing_secrets: secret },
    requests: [
      request("wrong secret", "refused", body, await headers("d-1", "It's a secret to everybody")),
      request("right", "created", body, await headers("d-1", secret), [incident]),
      request("redelivered", "duplicate", body, await headers("d-1", secret), [incident]),
      // The id of a delivery is not signed.
      request("under another id", "duplicate", body, await headers("d-2", secret), [incident]),
    ],
  };
}

// While a secret is exchanged, several are valid at once, each until its time.
async function githubRotation() {
  const [fresh, old, expired] = ["the new secret", "the old secret", "the oldest secret"];
  const sent = async (what, expect, secret, number) => {
    const body = `{"action":"edited","number":${number},"repository":{"full_name":"octo/hello"}}`;
    const headers = {
      ...JSON_TYPE,
      "X-GitHub-Event": "issues",
      "X-GitHub-Delivery": `r-${number}`,
      "X-Hub-Signature-256": await signForGithub(secret, body),
    };
    const incident = { name: "GitHub issues edited: octo/hello", type: "GitHub issues" };
    return request(what, expect, body, headers, [incident]);
  };
  return {
    name: "github-rotation",
    parameters: {
      source: "github",
      signing_secrets: [
        fresh,
        { secret: old, expires: new Date((now + 3600) * 1000).toISOString() },
        { secret: expired, expires: new Date((now - 1) * 1000).toISOString() },
      ],
    },
    requests: [
      await sent("expired", "refused", expired, 1),
      await sent("right", "created", fresh, 2),
      await sent("old", "created", old, 3),
    ],
  };
}

function stripe() {
  const body = '{"id":"evt_1","type":"charge.failed","data":{"object":{"id":"ch_1"}}}';
  const { generateTestHeaderString } = Stripe.webhooks;
  const sign = (secret, timestamp) => ({
    ...JSON_TYPE,
    "Stripe-Signature": generateTestHeaderString({ payload: body, secret, timestamp }),
  });
  const incident = { name: "Stripe charge.failed: ch_1", type: "Stripe charge.failed" };
  return timed("stripe", "whsec_4vRjyKDmIK1ZgLVG", "whsec_4vRjyKDmIK1ZgLVH", body, incident, sign);
}

function standard(name, prefix, Webhook) {
  const body = '{"type":"user.locked","data":{"id":7}}';
  const sign = (secret, time, id) => ({
    ...JSON_TYPE,
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: String(time),
    [`${prefix}-signature`]: new Webhook(secret).sign(id, new Date(time * 1000), body),
  });
  const [secret, wrong] = ["right", "wrong"].map(
    (text) => "whsec_" + Buffer.from(`the ${text} key of this test`).toString("base64"),
  );
  return timed(name, secret, wrong, body, { name: "user.locked", type: "user.locked" }, sign);
}

// Bolt verifies only: what we sign it must judge as we want the host to.
function slack() {
  const [secret, wrong] = ["8f742231b10e8888abcd99yyyzzz85a5", "8f742231b10e8888abcd99yyyzzz85a6"];
  const body =
    '{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention","text":"disk full"}}';
  const sign = (signingSecret, time) => {
    const mac = createHmac("sha256", signingSecret).update(`v0:${time}:${body}`).digest("hex");
    return {
      ...JSON_TYPE,
      "X-Slack-Request-Timestamp": String(time),
      "X-Slack-Signature": `v0=${mac}`,
    };
  };
  const incident = { name: "Slack app_mention: disk full", type: "Slack app_mention" };
  const sender = timed("slack", secret, wrong, body, incident, sign);
  for (const one of sender.requests) {
    const headers = Object.fromEntries(
      Object.entries(one.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const valid = isValidSlackRequest({ signingSecret: secret, body, headers });
    // Bolt takes a time in the future, we do not.
    if (valid !== (one.expect !== "refused" || one.what === "from the future")) {
      throw new Error(`Bolt does not agree: ${one.what}`);
    }
  }
  return sender;
}

function twilioForm() {
  const token = "12345678901234567890123456789012";
  const url = "https://hooks.example.com/twilio";
  const parameters = { MessageSid: "SM1", From: "+15550100", Body: "help" };
  const body = new URLSearchParams(parameters).toString();
  const headers = (authToken, at, signed) => ({
    ...FORM_TYPE,
    "X-Twilio-Signature": twilio.getExpectedTwilioSignature(authToken, at, signed),
  });
  const incident = { name: "Twilio message from +15550100: help", type: "Twilio" };
  return {
    name: "twilio",
    parameters: { source: "twilio", signing_secrets: token, public_url: url },
    requests: [
      request("wrong secret", "refused", body, headers(token.replace("9", "8"), url, parameters)),
      request("another URL", "refused", body, headers(token, url + "s", parameters)),
      request("right", "created", body, headers(token, url, parameters), [incident]),
      request("replayed", "duplicate", body, headers(token, url, parameters), [incident]),
    ],
  };
}

// A body that is no form is signed by its hash in the URL.
function twilioJson() {
  const token = "12345678901234567890123456789012";
  const body = '{"type":"com.example.call","id":"e1"}';
  const query = "bodySHA256=" + twilio.getExpectedBodyHash(body);
  const url = "https://hooks.example.com/twilio";
  const headers = (authToken, at) => ({
    ...JSON_TYPE,
    "I-Twilio-Idempotency-Token": "t-1",
    "X-Twilio-Signature": twilio.getExpectedTwilioSignature(authToken, at, {}),
  });
  const incident = { name: "Twilio event", type: "Twilio" };
  const at = `${url}?${query}`;
  return {
    name: "twilio-json",
    parameters: { source: "twilio", signing_secrets: token, public_url: url },
    requests: [
      request("wrong secret", "refused", body, headers(token.replace("9", "8"), at), [], query),
      request("without the hash", "refused", body, headers(token, url)),
      request("right", "created", body, headers(token, at), [incident], query),
      request("replayed", "duplicate", body, headers(token, at), [incident], query),
    ],
  };
}

// The library signs nothing; a bearer token stands beside what it writes.
function cloudevents() {
  const token = "a token of the sender's";
  const bearer = (value) => ({ Authorization: `Bearer ${value}` });
  const event = (id) =>
    new CloudEvent({
      id,
      source: "/cellar",
      type: "com.example.flood",
      subject: "pump 2",
      time: "2024-05-01T10:00:00Z",
      data: { level: 3 },
    });
  const incident = { name: "com.example.flood: pump 2", type: "com.example.flood" };
  const written = (mode, id) => {
    const message = HTTP[mode](event(id));
    return [message.body, { ...message.headers, ...bearer(token) }];
  };
  const batch = JSON.stringify([event("4"), event("5")]);
  const batchHeaders = { "Content-Type": "application/cloudevents-batch+json", ...bearer(token) };
  const [structured, headers] = written("structured", "1");
  return {
    name: "cloudevents",
    parameters: { source: "cloudevents", signing_secrets: token },
    requests: [
      request("no token", "refused", structured, { "Content-Type": headers["content-type"] }),
      request("wrong token", "refused", structured, { ...headers, ...bearer(token + "s") }),
      request("structured", "created", structured, headers, [incident]),
      request("binary, so in other bytes", "duplicate", ...written("binary", "1"), [incident]),
      request("binary", "created", ...written("binary", "2"), [incident]),
      request("structured, so in other bytes", "duplicate", ...written("structured", "2"), [incident]),
      request("batch", "created", batch, batchHeaders, [incident, incident]),
      request("the batch again", "duplicate", batch, batchHeaders, [incident, incident]),
    ],
  };
}

console.log(
  JSON.stringify([
    await github(),
    await githubRotation(),
    stripe(),
    standard("svix", "svix", SvixWebhook),
    standard("standard-webhooks", "webhook", StandardWebhook),
    slack(),
    twilioForm(),
    twilioJson(),
    cloudevents(),
  ]),
);
