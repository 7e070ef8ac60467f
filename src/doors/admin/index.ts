import type { FastifyInstance } from 'fastify'
import { serializerCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { ApiApp } from '../../base/api.ts'
import type { Deps } from '../../base/deps.ts'
import { acceptBodies } from './bodies.ts'
import { gate } from './gate.ts'
import { decorateAnswers, requestIdOf } from './answers.ts'
import { addOpenApi } from './openapi.ts'
import { RouteBook } from './routes.ts'
import { registerService } from './service.ts'
import { speak, speakOfMissing } from './speech.ts'
import { validatorCompiler } from './validation.ts'

export { speak } from './speech.ts'

/** What a feature's api.ts exports. */
export type Feature = (app: ApiApp, deps: Deps) => void

/**
 * The door for people and scripts: JSON by API key, described by OpenAPI, refusals as RFC 9457 documents. An
 * encapsulated plugin, to be mounted under `/api/v1`. A route without a scope, a tag, a summary or a response schema
 * does not start.
 */
export function adminDoor(deps: Deps, features: Feature[]) {
  return async (parent: FastifyInstance): Promise<void> => {
    const app = parent.withTypeProvider<ZodTypeProvider>()
    const book = new RouteBook()
    app.setValidatorCompiler(validatorCompiler)
    app.setSerializerCompiler(serializerCompiler)
    app.setGenReqId(requestIdOf)
    app.setErrorHandler(speak(deps))
    app.setNotFoundHandler(speakOfMissing(book))
    app.addHook('onRoute', (route) => book.add(route))
    decorateAnswers(app, deps)
    gate(app, deps)
    acceptBodies(app)
    await addOpenApi(app, deps)
    registerService(app, deps, book)
    for (const feature of features) feature(app, deps)
  }
}
