// Publish the JSON body on stdin with amqplib (npm install amqplib), and wait until RabbitMQ has taken it over.
//
//     RABBITMQ_URL=amqp://… node publish_amqplib.js wa.inbound 491700000001 < body.json
'use strict';

const fs = require('node:fs');
const amqp = require('amqplib');

// Rejects where RabbitMQ refused the message, and where nobody knows.
async function publish(url, exchange, routingKey, body) {
  const connection = await amqp.connect(url);
  try {
    const channel = await connection.createConfirmChannel();
    await new Promise((resolve, reject) => {
      connection.on('error', reject);
      channel.on('error', reject); // an exchange that is not there, a right that is missing
      channel.on('return', () => reject(new Error('no queue takes it')));
      channel.publish(
        exchange,
        routingKey,
        body,
        { contentType: 'application/json', persistent: true, mandatory: true },
        (error) => (error ? reject(error) : resolve()),
      );
    });
  } finally {
    await connection.close().catch(() => {});
  }
}

const [exchange, routingKey] = process.argv.slice(2);
publish(process.env.RABBITMQ_URL, exchange, routingKey, fs.readFileSync(0)).then(
  () => console.log('confirmed'),
  (error) => {
    console.error(`not confirmed: ${error.message}`);
    process.exitCode = 1; // the same body may be published again
  },
);
