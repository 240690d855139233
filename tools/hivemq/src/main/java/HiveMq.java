import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.auth.parameter.TopicPermission;
import com.hivemq.extension.sdk.api.packets.connect.ConnackReasonCode;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;
import com.hivemq.extension.sdk.api.services.builder.Builders;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * HiveMQ CE with one user: java HiveMq FOLDER USER PASSWORD ALLOWED READ_ONLY, the last two being
 * topic filters.
 *
 * <p>FOLDER holds config.xml and takes the data. The community edition leaves authentication to
 * extensions, hence this one.
 */
public final class HiveMq implements ExtensionMain, SimpleAuthenticator {

  private final String user;
  private final ByteBuffer password;
  private final String allowed;
  private final String readOnly;

  private HiveMq(String user, String password, String allowed, String readOnly) {
    this.user = user;
    this.password = ByteBuffer.wrap(password.getBytes(StandardCharsets.UTF_8));
    this.allowed = allowed;
    this.readOnly = readOnly;
  }

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    EmbeddedExtension access =
        EmbeddedExtension.builder()
            .withId("access")
            .withName("access")
            .withVersion("1")
            .withExtensionMain(
                new HiveMq(arguments[1], arguments[2], arguments[3], arguments[4]))
            .build();
    EmbeddedHiveMQ.builder()
        .withConfigurationFolder(folder)
        .withDataFolder(folder.resolve("data"))
        .withExtensionsFolder(folder.resolve("extensions"))
        .withEmbeddedExtension(access)
        .build()
        .start()
        .get();
    System.out.println("started");
    Thread.currentThread().join();
  }

  @Override
  public void extensionStart(ExtensionStartInput input, ExtensionStartOutput output) {
    Services.securityRegistry().setAuthenticatorProvider(provider -> this);
  }

  @Override
  public void extensionStop(ExtensionStopInput input, ExtensionStopOutput output) {}

  @Override
  public void onConnect(SimpleAuthInput input, SimpleAuthOutput output) {
    boolean known =
        input.getConnectPacket().getUserName().filter(user::equals).isPresent()
            && input.getConnectPacket().getPassword().filter(password::equals).isPresent();
    if (known) {
      output
          .getDefaultPermissions()
          .addAll(
              List.of(
                  Builders.topicPermission().topicFilter(allowed).build(),
                  Builders.topicPermission()
                      .topicFilter(readOnly)
                      .activity(TopicPermission.MqttActivity.SUBSCRIBE)
                      .build()));
      output.authenticateSuccessfully();
    } else {
      output.failAuthentication(ConnackReasonCode.BAD_USER_NAME_OR_PASSWORD);
    }
  }
}
